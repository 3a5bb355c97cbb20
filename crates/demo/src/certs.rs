//! Throw-away certificates: one authority of one trust domain, and leaves for its workloads.
//!
//! For demonstrations and tests only. The keys never leave the folder they are written to, and end with it.

use jiff::{ToSpan as _, Zoned, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

/// An authority that signs the certificates of one trust domain.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The certificate, without its chain.
    pub certificate: String,
    /// Its private key, PKCS #8.
    pub key: String,
}

impl Authority {
    /// Makes an authority for `trust_domain`.
    ///
    /// # Errors
    /// If the trust domain is no text for a certificate.
    pub fn new(trust_domain: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("throw-away authority of {trust_domain}"));
        params.subject_alt_names = vec![SanType::URI(format!("spiffe://{trust_domain}").try_into()?)];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        limit(&mut params);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The authority's own certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Signs a certificate with these URIs (SPIFFE ids) and host names, for servers and clients.
    ///
    /// # Errors
    /// If a name is no text for a certificate.
    pub fn issue(&self, uris: &[&str], hosts: &[&str]) -> Result<Leaf, rcgen::Error> {
        let mut params = CertificateParams::default();
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into()?));
        }
        for host in hosts {
            params.subject_alt_names.push(SanType::DnsName((*host).try_into()?));
        }
        limit(&mut params);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// Valid from yesterday to the day after tomorrow: what leaks is soon worth nothing, and clocks may differ.
fn limit(params: &mut CertificateParams) {
    let today = Zoned::now().with_time_zone(TimeZone::UTC).date();
    let day = |days: i64| {
        let date = today.saturating_add(days.days());
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = day(-1);
    params.not_after = day(2);
}

#[cfg(test)]
mod tests {
    use super::Authority;

    #[test]
    fn a_leaf_carries_its_spiffe_id_as_the_only_uri() {
        let authority = Authority::new("cluster.local").unwrap();
        let leaf = authority.issue(&["spiffe://cluster.local/ns/web/sa/frontend"], &["localhost"]).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(leaf.certificate.as_bytes()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
        let uris: Vec<String> = names.iter().map(|name| name.to_string()).filter(|n| n.starts_with("URI")).collect();
        assert_eq!(uris, ["URI(spiffe://cluster.local/ns/web/sa/frontend)"]);
        assert!(authority.certificate().contains("BEGIN CERTIFICATE"));
    }

    #[test]
    fn a_name_outside_ascii_is_rejected() {
        assert!(Authority::new("cluster.local").unwrap().issue(&["spiffe://clüster/a"], &[]).is_err());
    }
}
