//! A certificate authority for one server, and the server's certificate.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::account::Account;
use crate::failure::{Doing, Result};

/// The files of a server that is to be called `localhost`.
pub(crate) struct Certificates {
    /// The authority's certificate: what a client has to trust.
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// Makes an authority that signs once, and writes what it made to `directory`.
    pub(crate) fn make(directory: &Path, account: &Account) -> Result<Self> {
        let (authority, certificate, key) = sign().doing("make a certificate")?;
        let files = Self {
            authority: directory.join("authority.pem"),
            certificate: directory.join("server.pem"),
            key: directory.join("server.key"),
        };
        std::fs::write(&files.authority, authority).doing("write a certificate")?;
        std::fs::write(&files.certificate, certificate).doing("write a certificate")?;
        account.write_secret(&files.key, &key)?;
        Ok(files)
    }
}

/// The authority's certificate, the server's, and the server's key, all as PEM.
pub(crate) fn sign() -> std::result::Result<(String, String, String), rcgen::Error> {
    let mut authority = CertificateParams::new([])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "Authority of one test");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    // No address: who connects by another name than `localhost` is to be refused.
    let mut server = CertificateParams::new(["localhost".to_owned()])?;
    server.distinguished_name.push(DnType::CommonName, "localhost");
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;
    Ok((authority.pem(), certificate.pem(), key.serialize_pem()))
}
