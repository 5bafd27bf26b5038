//! A server's URL, put together from the one that is configured and from parts that go before it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Secret;

/// What needs no escape anywhere in a URL.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as it may stand in any one part of a URL.
pub(crate) fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// What is configured about one server.
#[derive(Debug)]
pub(super) struct ServerUrl {
    /// Of a URL that is not configured.
    pub(super) scheme: &'static str,
    pub(super) url: Option<Secret>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    /// What the path says: a database, a virtual host.
    pub(super) name: Option<String>,
}

/// There are parts, but neither a URL nor a host that they could belong to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoHost;

impl ServerUrl {
    /// The URL to use, if anything is configured.
    pub(super) fn assemble(self) -> Result<Option<Secret>, NoHost> {
        let Self { scheme, url, host, port, user, password, name } = self;
        let has_parts =
            host.is_some() || port.is_some() || user.is_some() || password.is_some() || name.is_some();
        if !has_parts {
            return Ok(url);
        }
        let given = match &url {
            Some(url) => match Parts::of(url.expose()) {
                Some(parts) => parts,
                // What is wrong with it is told where it is used.
                None => return Ok(Some(url.clone())),
            },
            None => Parts { scheme, ..Parts::default() },
        };
        let host = host.map(|host| if host.contains(':') { format!("[{host}]") } else { host });
        let host = host.or_else(|| given.host.map(str::to_owned)).ok_or(NoHost)?;
        let mut text = format!("{}://", given.scheme);
        if let Some(user) = user.map(|user| percent_encoded(&user)).or_else(|| given.user.map(str::to_owned))
        {
            text.push_str(&user);
            let password = password.map(|password| percent_encoded(password.expose()));
            if let Some(password) = password.or_else(|| given.password.map(str::to_owned)) {
                text.push(':');
                text.push_str(&password);
            }
            text.push('@');
        }
        text.push_str(&host);
        if let Some(port) = port.map(|port| port.to_string()).or_else(|| given.port.map(str::to_owned)) {
            text.push(':');
            text.push_str(&port);
        }
        if let Some(name) = name.map(|name| percent_encoded(&name)).or_else(|| given.path.map(str::to_owned))
        {
            text.push('/');
            text.push_str(&name);
        }
        text.push_str(given.query);
        Ok(Some(Secret::from(text)))
    }
}

/// A URL's parts, as they stand in it.
#[derive(Debug, Default, PartialEq)]
struct Parts<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<&'a str>,
    path: Option<&'a str>,
    /// With its question mark.
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (rest, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        let (account, place) = match authority.rsplit_once('@') {
            Some((account, place)) => (Some(account), place),
            None => (None, authority),
        };
        let (user, password) = match account.map(|account| account.split_once(':').ok_or(account)) {
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
            None => (None, None),
        };
        // An address of IPv6 has colons between its brackets.
        let port_at = place.rfind(':').filter(|at| !place[*at..].contains(']'));
        let (host, port) = match port_at {
            Some(at) => (&place[..at], Some(&place[at + 1..])),
            None => (place, None),
        };
        let host = Some(host).filter(|host| !host.is_empty());
        Some(Self { scheme, user, password, host, port, path, query })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: ServerUrl = ServerUrl {
        scheme: "postgres",
        url: None,
        host: None,
        port: None,
        user: None,
        password: None,
        name: None,
    };

    fn secret(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    fn text(made: ServerUrl) -> String {
        made.assemble().unwrap().unwrap().expose().to_owned()
    }

    #[test]
    fn a_segment_cannot_be_mistaken_for_more_than_one() {
        assert_eq!(percent_encoded("v1.txt"), "v1.txt");
        assert_eq!(percent_encoded("a b?c#d%e/ü"), "a%20b%3Fc%23d%25e%2F%C3%BC");
    }

    #[test]
    fn parts_go_before_the_url_and_are_escaped() {
        let url = Some(secret("postgres://old:older@db:5433/attune?sslmode=verify-full"));
        let user = Some("me@home".to_owned());
        let made = ServerUrl { url: url.clone(), user, password: Some(secret("a:b/c@d%?")), ..NOTHING };
        assert_eq!(text(made), "postgres://me%40home:a%3Ab%2Fc%40d%25%3F@db:5433/attune?sslmode=verify-full");
        let made =
            ServerUrl { url, host: Some("::1".into()), port: Some(7), name: Some("x/y".into()), ..NOTHING };
        assert_eq!(text(made), "postgres://old:older@[::1]:7/x%2Fy?sslmode=verify-full");
    }

    #[test]
    fn parts_alone_need_a_host() {
        let made = ServerUrl {
            host: Some("db".into()),
            user: Some("me".into()),
            name: Some("attune".into()),
            ..NOTHING
        };
        assert_eq!(text(made), "postgres://me@db/attune");
        assert_eq!(ServerUrl { user: Some("me".into()), ..NOTHING }.assemble().unwrap_err(), NoHost);
        assert!(NOTHING.assemble().unwrap().is_none());
        let odd = ServerUrl { url: Some(secret("no url")), user: Some("me".into()), ..NOTHING };
        assert_eq!(text(odd), "no url");
    }
}
