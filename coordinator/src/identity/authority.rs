//! The coordinator's CA: made at the first start, or given as two files before it. Its key never leaves this
//! folder, and is read by its owner alone.

use super::Error;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKey, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use uuid::Uuid;
use windlass_shared::digest::Hash;
use windlass_shared::join;

/// How long the CA lives: longer than a fleet.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Certificates count from a day before they were made: clocks that are hours apart harm no lease. What is
/// bounded is their end.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

/// The folder of keys and lists.
pub(super) fn folder_in(data_dir: &Path) -> PathBuf {
    data_dir.join("identity")
}

/// The CA.
pub(super) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate says of its holder.
pub(super) struct Subject<'a> {
    pub role: &'a str,
    pub name: &'a str,
    pub serial: [u8; 16],
    pub expires: SystemTime,
}

impl Authority {
    /// Reads the CA, or makes one.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let folder = folder_in(data_dir);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(Error::file("make", &folder))?;
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        let is_there = |path: &Path| path.try_exists().map_err(Error::file("look for", path));
        match (is_there(&certificate)?, is_there(&key)?) {
            (true, true) => {}
            (false, _) => make(&certificate, &key)?,
            (true, false) => {
                let problem = "ca.key, the key beside it, is missing".to_owned();
                return Err(Error::Authority { path: certificate, problem });
            }
        }
        // A copied folder may have widened the mode.
        fs::set_permissions(&key, Permissions::from_mode(0o600)).map_err(Error::file("protect", &key))?;
        let wrong = |path: &Path, problem: String| Error::Authority { path: path.to_owned(), problem };
        let key_text = fs::read_to_string(&key).map_err(Error::file("read", &key))?;
        let pair = KeyPair::from_pem(&key_text).map_err(|error| wrong(&key, error.to_string()))?;
        let der = CertificateDer::from_pem_file(&certificate)
            .map_err(|error| wrong(&certificate, error.to_string()))?;
        check(&der, &pair).map_err(|problem| wrong(&certificate, problem))?;
        let issuer =
            Issuer::from_ca_cert_der(&der, pair).map_err(|error| wrong(&certificate, error.to_string()))?;
        Ok(Self { certificate: der, issuer })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What tokens carry of it.
    pub fn fingerprint(&self) -> Hash {
        Hash::of(&self.certificate)
    }

    /// A certificate for the key of a signing request; of what else that asks for nothing counts.
    pub fn sign(&self, request: &AskedKey, subject: &Subject<'_>) -> Result<CertificateDer<'static>, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(subject.role, subject.name);
        params.serial_number = Some(SerialNumber::from_slice(&subject.serial));
        params.not_before = moment(SystemTime::now() - BACKDATED);
        params.not_after = moment(subject.expires);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let signed = params.signed_by(&request.0, &self.issuer).map_err(Error::Certificate)?;
        Ok(signed.der().clone())
    }

    /// A fresh key and certificate of the coordinator itself. They live in memory alone. Whoever joined is no
    /// coordinator: its certificate is not for this use, and not of this name.
    pub fn serve(&self, life: Duration) -> Result<CertifiedKey, Error> {
        let key = KeyPair::generate().map_err(Error::Certificate)?;
        let mut params =
            CertificateParams::new(vec![join::COORDINATOR.to_owned()]).map_err(Error::Certificate)?;
        params.distinguished_name = named("coordinator", join::COORDINATOR);
        params.serial_number = Some(SerialNumber::from_slice(&draw_serial()));
        params.not_before = moment(SystemTime::now() - BACKDATED);
        params.not_after = moment(SystemTime::now() + life);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer).map_err(Error::Certificate)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = rustls::crypto::ring::sign::any_supported_type(&private).map_err(Error::Tls)?;
        Ok(CertifiedKey::new(vec![leaf.der().clone(), self.certificate.clone()], signing))
    }
}

/// The key of a signing request whose own signature holds: its sender has the private half.
pub(super) struct AskedKey(PublicKey);

impl AskedKey {
    /// Reads a signing request.
    pub fn read(der: &[u8]) -> Option<Self> {
        let der = CertificateSigningRequestDer::from(der);
        let request = CertificateSigningRequestParams::from_der(&der).ok()?;
        Some(Self(request.public_key))
    }

    /// What tells one key from another.
    pub fn hash(&self) -> Hash {
        use rcgen::PublicKeyData;
        Hash::of(self.0.der_bytes())
    }
}

/// A serial number: 122 random bits, positive.
pub(super) fn draw_serial() -> [u8; 16] {
    let mut serial = *Uuid::new_v4().as_bytes();
    serial[0] = (serial[0] & 0x3f) | 0x40;
    serial
}

fn named(role: &str, name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::OrganizationName, "windlass");
    distinguished.push(DnType::OrganizationalUnitName, role);
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn moment(at: SystemTime) -> OffsetDateTime {
    OffsetDateTime::from(at)
}

/// That a given certificate is a CA's, valid now, and of the key beside it.
fn check(der: &CertificateDer<'_>, key: &KeyPair) -> Result<(), String> {
    use rcgen::PublicKeyData;
    let (_, read) = x509_parser::parse_x509_certificate(der).map_err(|error| error.to_string())?;
    if !read.is_ca() {
        return Err("it is not marked as a CA's".to_owned());
    }
    if !read.validity().is_valid() {
        return Err(format!(
            "it is valid from {} until {}",
            read.validity().not_before,
            read.validity().not_after
        ));
    }
    if read.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
        return Err("ca.key is the key of another certificate".to_owned());
    }
    Ok(())
}

fn make(certificate: &Path, key: &Path) -> Result<(), Error> {
    // The certificate is written last: a key alone is what a crash left of the very first start. Or it is somebody's
    // own, whose certificate has another name: no key is ever written over.
    let pair = match fs::read_to_string(key) {
        Ok(text) => KeyPair::from_pem(&text)
            .map_err(|error| Error::Authority { path: key.to_owned(), problem: error.to_string() })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let pair = KeyPair::generate().map_err(Error::Certificate)?;
            write_whole(key, pair.serialize_pem().as_bytes())?;
            pair
        }
        Err(source) => return Err(Error::file("read", key)(source)),
    };
    let mut params = CertificateParams::default();
    params.distinguished_name =
        named("ca", &format!("windlass {}", &Uuid::new_v4().simple().to_string()[..8]));
    params.serial_number = Some(SerialNumber::from_slice(&draw_serial()));
    params.not_before = moment(SystemTime::now() - BACKDATED);
    params.not_after = moment(SystemTime::now() + AUTHORITY_LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let signed = params.self_signed(&pair).map_err(Error::Certificate)?;
    write_whole(certificate, signed.pem().as_bytes())?;
    tracing::info!(path = %certificate.display(), "a CA was made");
    Ok(())
}

/// Writes a file of mode 0600 beside its place, synced and renamed: a crash leaves the old one or the new one.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::file("make", &beside)(error));
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(&beside);
    let mut file = opened.map_err(Error::file("make", &beside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::file("write", &beside))?;
    fs::rename(&beside, path).map_err(Error::file("put into place", path))?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::file("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these two files in it; what opening its CA comes to.
    fn open(certificate: Option<&str>, key: Option<&str>) -> (tempfile::TempDir, Result<Authority, Error>) {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder_in(dir.path())).expect("a folder");
        for (name, text) in [("ca.pem", certificate), ("ca.key", key)] {
            let path = folder_in(dir.path()).join(name);
            text.iter().for_each(|text| fs::write(&path, text).expect("written"));
        }
        let opened = Authority::open(dir.path());
        (dir, opened)
    }

    /// A certificate and its key, as somebody brings them along.
    fn brought(is_ca: IsCa, from: Duration) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        (params.is_ca, params.not_before) = (is_ca, moment(SystemTime::now() - from));
        params.not_after = params.not_before + time::Duration::days(10);
        (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
    }

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn ca() -> IsCa {
        IsCa::Ca(BasicConstraints::Unconstrained)
    }

    #[test]
    fn a_ca_that_was_given_is_the_one_that_tokens_carry_and_its_key_is_closed_to_others() {
        let (certificate, key) = brought(ca(), DAY);
        let (dir, opened) = open(Some(&certificate), Some(&key));
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
        assert_eq!(opened.expect("a CA").fingerprint(), Hash::of(&der));
        let file = folder_in(dir.path()).join("ca.key");
        assert_eq!(fs::metadata(&file).expect("it").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&file).expect("it"), key);
    }

    #[test]
    fn what_is_no_ca_is_refused_in_a_sentence_that_names_the_file() {
        let (good, key) = brought(ca(), DAY);
        let (leaf, of_leaf) = brought(IsCa::NoCa, DAY);
        let (over, of_over) = brought(ca(), 30 * DAY);
        let check = |certificate: Option<&str>, key: Option<&str>, want: &[&str]| {
            let (_dir, opened) = open(certificate, key);
            let said = opened.err().expect("refused").to_string();
            assert!(want.iter().all(|want| said.contains(want)), "{want:?} is not in {said}");
        };
        check(Some(&leaf), Some(&of_leaf), &["ca.pem", "not marked as a CA's"]);
        check(Some(&over), Some(&of_over), &["ca.pem", "it is valid from"]);
        check(Some(&good), Some(&of_leaf), &["ca.pem", "the key of another certificate"]);
        check(Some(&good), None, &["ca.pem", "is missing"]);
        check(Some("no certificate"), Some(&key), &["ca.pem"]);
        check(Some(&good), Some("no key"), &["ca.key"]);
        check(None, Some("no key"), &["ca.key"]);
        assert!(open(Some(&good), Some(&key)).1.is_ok());
    }

    #[test]
    fn a_key_without_a_certificate_is_gone_on_with_and_never_written_over() {
        let (_, key) = brought(ca(), DAY);
        let (dir, opened) = open(None, Some(&key));
        let fingerprint = opened.expect("a CA of that key").fingerprint();
        assert_eq!(fs::read_to_string(folder_in(dir.path()).join("ca.key")).expect("it"), key);
        assert_eq!(Authority::open(dir.path()).expect("the same").fingerprint(), fingerprint);
    }
}
