//! Where a ledger may lie: on a local disk. Never asks how fast or how full that disk is.

use super::Error;
use std::path::Path;

/// Magic numbers of statfs(2) whose file systems keep neither locks nor syncs as SQLite's WAL needs.
const NETWORK: [(u64, &str); 11] = [
    (0x6969, "nfs"),
    (0x517B, "smb"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb2"),
    (0x564C, "ncp"),
    (0x0102_1997, "9p"),
    (0x5346_414F, "afs"),
    (0x00C3_6400, "ceph"),
    (0x0BD0_0BD0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x1983_0326, "beegfs"),
];

/// The name of the network file system behind a statfs magic number, if it is one.
fn network_name(magic: u64) -> Option<&'static str> {
    NETWORK.iter().find(|(known, _)| *known == magic & 0xFFFF_FFFF).map(|(_, name)| *name)
}

/// Refuses a folder on a network file system.
pub(crate) fn refuse_network(folder: &Path) -> Result<(), Error> {
    let stat = rustix::fs::statfs(folder)
        .map_err(|errno| Error::Folder { path: folder.to_owned(), source: errno.into() })?;
    #[expect(clippy::cast_sign_loss, reason = "a magic number is a bit pattern")]
    match network_name(stat.f_type as u64) {
        Some(kind) => Err(Error::Network { path: folder.to_owned(), kind }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_named_and_local_ones_pass() {
        assert_eq!(network_name(0x6969), Some("nfs"));
        // On 32-bit longs the sign is extended; the low half decides.
        assert_eq!(network_name(0xFFFF_FFFF_FF53_4D42), Some("cifs"));
        assert_eq!(network_name(0xEF53), None, "ext4");
        let folder = tempfile::tempdir().expect("tempdir");
        refuse_network(folder.path()).expect("a local folder");
    }
}
