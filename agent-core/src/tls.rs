//! TLS, as every client that is ours speaks it: it trusts the roots that are built in, and those of a file.
//!
//! The database's driver brings its own, with the same roots.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, ErrorKind, Result};

/// A file with certificates of authorities, and the setting that names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Authorities<'a> {
    pub(crate) file: Option<&'a Path>,
    pub(crate) setting: &'static str,
}

impl Authorities<'_> {
    /// What connects to servers that these, or the roots that are built in, vouch for.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the file cannot be used.
    pub(crate) fn connector(self) -> Result<TlsConnector> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = self.file {
            let unusable = |error: &dyn std::error::Error| {
                let message = format!("cannot use `{}` {}", self.setting, path.display());
                Error::new(ErrorKind::Invalid, message).because(error.to_string())
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
                let certificate = certificate.map_err(|error| unusable(&error))?;
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(ErrorKind::System, "cannot set up TLS").because(error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let authorities = Authorities { file: Some(Path::new("/nowhere.pem")), setting: "api.ca_file" };
        let error = authorities.connector().err().expect("there is no such file");
        assert!(error.to_string().contains("`api.ca_file` /nowhere.pem"), "{error}");
    }
}
