//! Authorities and what they sign, as the PEM files that Kafka and momsflow read.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes one, and leaves its certificate in the folder.
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.join(format!("{name}.pem")), authority.pem()).unwrap();
        Self(authority)
    }

    /// Signs a certificate for a host, valid up to the end of a year: `NAME.crt`, `NAME.key`, and both in `NAME.pem`.
    pub fn sign(&self, folder: &Path, name: &str, host: &str, last_year: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 12, 31);
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        let key = key.serialize_pem();
        for (ending, text) in [
            ("crt", &certificate),
            ("key", &key),
            ("pem", &format!("{key}{certificate}")),
        ] {
            fs::write(folder.join(format!("{name}.{ending}")), text).unwrap();
        }
    }
}
