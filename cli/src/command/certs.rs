//! `windlass certs list|revoke`: who is known, and an end of that.

use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::render::certs;
use crate::session::Session;
use serde::Serialize;
use windlass_proto::document;
use windlass_proto::v1::{ListCertificatesRequest, RevokeCertificatesRequest};
use windlass_shared::access::CertificateView;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List certificates
    List(ListArgs),
    /// End certificates: on the next call, and within 10 s on open streams
    Revoke(RevokeArgs),
}

/// Nothing to say.
#[derive(Debug, clap::Args)]
pub struct ListArgs {}

/// Which.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// A name, ROLE/NAME, or a serial number or a unique prefix of one
    #[arg(value_name = "WHICH")]
    pub which: String,
    #[command(flatten)]
    pub dry: Dry,
}

#[derive(Serialize)]
struct Listing {
    certificates: Vec<CertificateView>,
}

/// Does it.
pub async fn run(command: Command, session: &Session) -> Result<(), Error> {
    let session = &match &command {
        Command::List(_) => session.asking(Dry::default()),
        Command::Revoke(args) => session.asking(args.dry),
    };
    let client = Client::connect(session).await?;
    match command {
        Command::List(_) => {
            let answer =
                client.identities().list_certificates(ListCertificatesRequest {}).await?.into_inner();
            let certificates = views(&answer.view_documents)?;
            if session.is_json() {
                return session.json("windlass.certificates/1", &Listing { certificates });
            }
            session.print(&certs::table(&certificates, session.width()))
        }
        Command::Revoke(args) => {
            let request = RevokeCertificatesRequest { which: args.which.clone() };
            let answer = client.identities().revoke_certificates(request).await?.into_inner();
            let certificates = views(&answer.view_documents)?;
            if session.is_json() {
                return session.json("windlass.certificates_revoked/1", &Listing { certificates });
            }
            let count = certificates.len();
            session.say(&format!(
                "{}: {count} valid certificate{} revoked",
                args.which,
                if count == 1 { "" } else { "s" }
            ));
            Ok(())
        }
    }
}

fn views(documents: &[impl AsRef<[u8]>]) -> Result<Vec<CertificateView>, Error> {
    let read = |bytes: &[u8]| document::read("view_documents", bytes).map_err(Error::from);
    documents.iter().map(|bytes| read(bytes.as_ref())).collect()
}
