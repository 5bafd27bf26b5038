//! Whether what a manifest asks for is there, whatever the install command said: many definitions end in `|| true`.

use std::path::Path;

use serde_json::Value;

use super::spec::EnvironmentSpec;

/// What an environment lacks, or how to find out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// As far as can be seen, nothing.
    Complete,
    /// These packages, by the names that the manifest uses.
    Missing(Vec<String>),
    /// The interpreter knows: run with these arguments it fails, and says what is missing.
    Ask(Vec<String>),
}

/// Looks whether the packages that `manifest` asks for are in `env_dir`.
pub(super) fn check(spec: &EnvironmentSpec, env_dir: &Path, manifest: &str) -> Check {
    match spec.environment.env_type.as_str() {
        "node_modules" => {
            absent(node_packages(manifest), |name| env_dir.join("node_modules").join(name).exists())
        }
        "gopath" => absent(go_modules(manifest), |module| {
            env_dir.join("pkg/mod/cache/download").join(go_escaped(module)).exists()
        }),
        "renv" => absent(renv_packages(manifest), |name| {
            env_dir.join("library").join(name).join("DESCRIPTION").exists()
        }),
        "gem_home" => ask("ARGV.each { |name| gem name }", gems(manifest)),
        "local_lib" => ask("for (@ARGV) { eval \"require $_; 1\" or die $@ }", perl_modules(manifest)),
        _ => Check::Complete,
    }
}

fn absent(names: Vec<String>, is_there: impl Fn(&str) -> bool) -> Check {
    let missing: Vec<String> = names.into_iter().filter(|name| !is_there(name)).collect();
    if missing.is_empty() { Check::Complete } else { Check::Missing(missing) }
}

fn ask(code: &str, names: Vec<String>) -> Check {
    if names.is_empty() {
        return Check::Complete;
    }
    Check::Ask(["-e", code, "--"].into_iter().map(str::to_owned).chain(names).collect())
}

/// `dependencies` of a package.json; optional ones may be absent.
fn node_packages(manifest: &str) -> Vec<String> {
    keys(&serde_json::from_str(manifest).unwrap_or_default(), "dependencies")
}

fn renv_packages(manifest: &str) -> Vec<String> {
    let lock: Value = serde_json::from_str(manifest).unwrap_or_default();
    // renv itself is where its user has it.
    keys(&lock, "Packages").into_iter().filter(|name| name != "renv").collect()
}

fn keys(object: &Value, key: &str) -> Vec<String> {
    let names = object.get(key).and_then(Value::as_object);
    // A name that leads elsewhere is no name.
    let is_name = |name: &&String| !name.split('/').any(|part| matches!(part, "" | "." | ".."));
    names.map(|names| names.keys().filter(is_name).cloned().collect()).unwrap_or_default()
}

/// What a go.mod requires directly and does not replace.
fn go_modules(manifest: &str) -> Vec<String> {
    let mut block = "";
    let mut required = Vec::new();
    let mut replaced = Vec::new();
    for line in manifest.lines() {
        let (line, comment) = line.split_once("//").unwrap_or((line, ""));
        let mut words = line.split_whitespace();
        let (kind, name) = match (block, words.next()) {
            (_, Some(")")) => {
                block = "";
                continue;
            }
            ("", Some(kind)) => match words.next() {
                Some("(") => {
                    block = if kind == "require" || kind == "replace" { kind } else { "other" };
                    continue;
                }
                name => (kind, name),
            },
            (kind, name) => (kind, name),
        };
        match (kind, name) {
            ("require", Some(name)) if comment.trim() != "indirect" => required.push(name.to_owned()),
            ("replace", Some(name)) => replaced.push(name.to_owned()),
            _ => {}
        }
    }
    required.retain(|name| !replaced.contains(name) && !name.contains(".."));
    required
}

/// Go writes `A` as `!a` in its cache, for file systems that do not tell them apart.
fn go_escaped(module: &str) -> String {
    module.chars().fold(String::new(), |mut escaped, c| {
        if c.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(c.to_ascii_lowercase());
        escaped
    })
}

/// The gems of a Gemfile that are installed everywhere and under their own name.
fn gems(manifest: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        // What is in a group, for a platform or under a condition may not be meant for here.
        if line.ends_with(" do") || line.starts_with("if ") || line.starts_with("unless ") {
            depth += 1;
        } else if line == "end" {
            depth = depth.saturating_sub(1);
        } else if depth == 0
            && let Some(rest) = line.strip_prefix("gem ").or_else(|| line.strip_prefix("gem("))
            && !["group", "platform", "require:", "git", "path", " if ", " unless "]
                .iter()
                .any(|word| rest.contains(word))
            && let Some(name) = quoted(rest)
        {
            names.push(name);
        }
    }
    names
}

/// What a cpanfile requires at run time.
fn perl_modules(manifest: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if depth == 0
            && let Some(rest) = line.strip_prefix("requires ").or_else(|| line.strip_prefix("requires("))
            && let Some(name) = quoted(rest)
            && name != "perl"
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
        {
            names.push(name);
        }
        depth = (depth + line.matches('{').count()).saturating_sub(line.matches('}').count());
    }
    names
}

/// The first quoted text.
fn quoted(text: &str) -> Option<String> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let rest = &text[1..];
    rest.find(quote)
        .map(|end| rest[..end].to_owned())
        .filter(|name| !name.is_empty() && !name.starts_with('-'))
}

/// Whether a manifest plainly asks for nothing, so that an environment which cannot be built is not missed. One that is not
/// understood asks for something.
pub(super) fn asks_for_nothing(env_type: &str, manifest: &str) -> bool {
    let only = |known: &[&str]| {
        let says_nothing =
            |line: &str| line.is_empty() || known.iter().any(|beginning| line.starts_with(beginning));
        manifest.lines().map(str::trim).all(says_nothing)
    };
    match env_type {
        "virtualenv" | "local_lib" => only(&["#"]),
        "gem_home" => only(&["#", "source ", "ruby "]),
        "gopath" => only(&["//", "module ", "go ", "toolchain "]),
        "node_modules" => serde_json::from_str(manifest).is_ok_and(|package: Value| {
            package.as_object().is_some_and(|fields| {
                let asks = |key: &String| key.to_lowercase().ends_with("dependencies");
                !fields.keys().any(|key| asks(key) || key == "workspaces" || key == "scripts")
            })
        }),
        "renv" => serde_json::from_str(manifest)
            .is_ok_and(|lock: Value| lock.is_object() && renv_packages(manifest).is_empty()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::tests::spec;
    use super::*;

    #[test]
    fn manifests_are_read_for_what_must_be_there() {
        assert_eq!(
            node_packages(
                r#"{"dependencies": {"ms": "2", "@a/b": "1", "../x": "1"}, "devDependencies": {"c": "1"}}"#
            ),
            ["ms", "@a/b"]
        );
        let go = "module m\ngo 1.22\nrequire example.com/One v1.0.0\nrequire (\n\texample.com/two v1.2.3 // indirect\n\
            \texample.com/three v0.1.0\n\texample.com/four v1.0.0\n)\nreplace example.com/four => ../four\nexclude (\n a v1\n)\n";
        assert_eq!(go_modules(go), ["example.com/One", "example.com/three"]);
        assert_eq!(go_escaped("example.com/One"), "example.com/!one");
        let gemfile = "source 'https://x'\ngem 'rake'\ngem \"json\", '~> 2'\ngem 'a', path: './a'\ngroup :test do\n  gem 'b'\nend\n";
        assert_eq!(gems(gemfile), ["rake", "json"]);
        let cpanfile = "requires 'perl', '5.20';\nrequires 'Try::Tiny', '>= 0.30';\non test => sub {\n  requires 'Test::Deep';\n};\nrequires \"JSON::PP\";\n";
        assert_eq!(perl_modules(cpanfile), ["Try::Tiny", "JSON::PP"]);
        assert_eq!(renv_packages(r#"{"R": {}, "Packages": {"renv": {}, "R6": {}}}"#), ["R6"]);
        assert_eq!(node_packages("not JSON"), Vec::<String>::new());
    }

    #[test]
    fn only_what_plainly_asks_for_nothing_does() {
        for (env_type, nothing) in [
            ("virtualenv", "\n# nothing yet\n"),
            ("local_lib", "# nothing\n"),
            ("gem_home", "source 'https://x'\nruby '3.1'\n"),
            ("gopath", "module m\n\ngo 1.22\n"),
            ("node_modules", r#"{"private": true, "type": "module"}"#),
            ("renv", r#"{"R": {}, "Packages": {"renv": {}}}"#),
        ] {
            assert!(asks_for_nothing(env_type, nothing), "{env_type}");
        }
        for (env_type, something) in [
            ("virtualenv", "-r more.txt\n"),
            ("local_lib", "requires 'X';\n"),
            ("gem_home", "gemspec\n"),
            ("gopath", "module m\nrequire x v1\n"),
            ("node_modules", r#"{"devDependencies": {}}"#),
            ("node_modules", r#"{"scripts": {"prepare": "x"}}"#),
            ("node_modules", "{ broken"),
            ("renv", r#"{"Packages": {"R6": {}}}"#),
            ("renv", "{ broken"),
            ("scratch", ""),
        ] {
            assert!(!asks_for_nothing(env_type, something), "{env_type}: {something}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let pack = tempfile::tempdir().unwrap();
        let env = tempfile::tempdir().unwrap();
        let mut spec = spec(pack.path());
        spec.environment.env_type = "node_modules".to_owned();
        let manifest = r#"{"dependencies": {"ms": "2", "nope": "1"}}"#;
        std::fs::create_dir_all(env.path().join("node_modules/ms")).unwrap();
        assert_eq!(check(&spec, env.path(), manifest), Check::Missing(vec!["nope".to_owned()]));
        std::fs::create_dir_all(env.path().join("node_modules/nope")).unwrap();
        assert_eq!(check(&spec, env.path(), manifest), Check::Complete);
        spec.environment.env_type = "gem_home".to_owned();
        assert!(
            matches!(check(&spec, env.path(), "gem 'rake'\n"), Check::Ask(args) if args.last().unwrap() == "rake")
        );
        assert_eq!(check(&spec, env.path(), ""), Check::Complete);
    }
}
