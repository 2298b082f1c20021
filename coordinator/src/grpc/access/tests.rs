//! The table of calls against the calls that are served, and against who may do what, restated by hand.

use super::*;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// `Service/Call` of a set of descriptors.
fn calls(descriptors: &[u8]) -> BTreeSet<String> {
    let set = tonic_types_free::FileSet::decode(descriptors).expect("our own descriptors");
    set.calls()
}

/// As much of `google.protobuf.FileDescriptorSet` as names calls.
mod tonic_types_free {
    use std::collections::BTreeSet;

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct FileSet {
        #[prost(message, repeated, tag = "1")]
        file: Vec<File>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct File {
        #[prost(string, optional, tag = "2")]
        package: Option<String>,
        #[prost(message, repeated, tag = "6")]
        service: Vec<Service>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Service {
        #[prost(string, optional, tag = "1")]
        name: Option<String>,
        #[prost(message, repeated, tag = "2")]
        method: Vec<Method>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Method {
        #[prost(string, optional, tag = "1")]
        name: Option<String>,
    }

    impl FileSet {
        pub fn calls(&self) -> BTreeSet<String> {
            let mut calls = BTreeSet::new();
            for file in &self.file {
                for service in &file.service {
                    for method in &service.method {
                        let (package, service) = (file.package(), service.name());
                        let service = match package {
                            "windlass.v1" => service.to_owned(),
                            _ => format!("{package}.{service}"),
                        };
                        calls.insert(format!("{service}/{}", method.name()));
                    }
                }
            }
            calls
        }
    }
}

#[test]
fn every_call_that_is_served_has_one_row() {
    let mut served = calls(windlass_proto::DESCRIPTORS);
    served.extend(calls(tonic_health::pb::FILE_DESCRIPTOR_SET));
    served.extend(calls(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
    served.extend(calls(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET));
    let listed: BTreeSet<String> = TABLE.iter().map(|row| row.call.to_owned()).collect();
    assert_eq!(listed, served, "a call without a row is refused to everybody");
    assert_eq!(listed.len(), TABLE.len(), "no call has two rows");
}

#[test]
fn the_table_gives_nobody_more_than_reliability_says() {
    for row in TABLE {
        assert_eq!(row.admin, Y, "{}: an administrator may do all", row.call);
        assert_eq!(row.none == Y, row.call == "IdentityService/Join", "{}", row.call);
        assert!(row.worker_own != N || row.worker_other == N, "{}", row.call);
        assert!(row.client_own != N || row.client_other == N, "{}", row.call);
    }
}

/// Who may do what (RELIABILITY "Access"), written down apart from the table that is asked, call by call: what becomes
/// of it for a peer without a certificate, for a worker about its own and about what is not, for a client about its
/// own and about what is others', for an administrator; and how much of a campaign it needs. A change of either one
/// alone fails.
const RESTATED: &str = "
    CampaignService/Create                                         no   no   no      yes  yes     yes  own
    CampaignService/ImportLedger                                   no   no   no      yes  yes     yes  own
    CampaignService/List                                           no   no   no      yes  hidden  yes  read
    CampaignService/Watch                                          no   no   no      yes  hidden  yes  read
    CampaignService/Get                                            no   no   no      yes  hidden  yes  read
    CampaignService/Explain                                        no   no   no      yes  hidden  yes  read
    CampaignService/ListLevers                                     no   no   no      yes  hidden  yes  read
    CampaignService/GetLever                                       no   no   no      yes  hidden  yes  read
    CampaignService/GetIteration                                   no   no   no      yes  hidden  yes  read
    CampaignService/ListIterations                                 no   no   no      yes  hidden  yes  read
    CampaignService/ListFindings                                   no   no   no      yes  hidden  yes  read
    CampaignService/AddFindings                                    no   no   no      yes  hidden  yes  propose
    CampaignService/Claim                                          no   no   no      yes  hidden  yes  propose
    CampaignService/ProposeLever                                   no   no   no      yes  hidden  yes  propose
    CampaignService/RetryLever                                     no   no   no      yes  hidden  yes  propose
    CampaignService/SubmitFix                                      no   no   no      yes  hidden  yes  propose
    CampaignService/AddDeliverable                                 no   no   no      yes  hidden  yes  propose
    CampaignService/WriteConclusion                                no   no   no      yes  hidden  yes  propose
    CampaignService/RetireLever                                    no   no   no      yes  hidden  yes  control
    CampaignService/MoveLever                                      no   no   no      yes  hidden  yes  control
    CampaignService/CancelIteration                                no   no   no      yes  hidden  yes  control
    CampaignService/GiveSecrets                                    no   no   no      yes  hidden  yes  control
    CampaignService/Pause                                          no   no   no      yes  hidden  yes  control
    CampaignService/Resume                                         no   no   no      yes  hidden  yes  control
    CampaignService/Stop                                           no   no   no      yes  hidden  yes  control
    CampaignService/Update                                         no   no   no      yes  hidden  yes  control
    CampaignService/Share                                          no   no   no      yes  hidden  yes  own
    WorkerService/Sync                                             no   yes  hidden  no   no      yes  own
    LogService/WriteLog                                            no   yes  hidden  no   no      yes  own
    LogService/ReadLog                                             no   yes  hidden  yes  hidden  yes  read
    ArtifactService/FindMissing                                    no   yes  hidden  yes  hidden  yes  read
    ArtifactService/Write                                          no   yes  hidden  yes  yes     yes  propose
    ArtifactService/Read                                           no   yes  hidden  yes  hidden  yes  read
    FleetService/About                                             no   yes  yes     yes  yes     yes  read
    FleetService/ListWorkers                                       no   no   no      yes  yes     yes  read
    FleetService/Drain                                             no   no   no      no   no      yes  own
    FleetService/Undrain                                           no   no   no      no   no      yes  own
    FleetService/ReleaseDevice                                     no   no   no      no   no      yes  own
    FleetService/SetQuota                                          no   no   no      no   no      yes  own
    FleetService/ListQuotas                                        no   no   no      yes  yes     yes  read
    FleetService/GetUsage                                          no   no   no      yes  hidden  yes  read
    UpkeepService/CollectGarbage                                   no   no   no      no   no      yes  own
    UpkeepService/GetHealth                                        no   no   no      yes  yes     yes  read
    IdentityService/Join                                           yes  yes  yes     yes  yes     yes  read
    IdentityService/Renew                                          no   yes  yes     yes  yes     yes  read
    IdentityService/CreateToken                                    no   no   no      no   no      yes  own
    IdentityService/ListCertificates                               no   no   no      no   no      yes  own
    IdentityService/RevokeCertificates                             no   no   no      no   no      yes  own
    grpc.health.v1.Health/Check                                    no   yes  yes     yes  yes     yes  read
    grpc.health.v1.Health/Watch                                    no   yes  yes     yes  yes     yes  read
    grpc.reflection.v1.ServerReflection/ServerReflectionInfo       no   yes  yes     yes  yes     yes  read
    grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo  no   yes  yes     yes  yes     yes  read
";

#[test]
fn every_call_by_every_caller_is_what_was_written_down_apart_from_the_table() {
    let word = |verdict| match verdict {
        Y => "yes",
        N => "no",
        H => "hidden",
    };
    let need = |need| match need {
        Grant::Read => "read",
        Grant::Propose => "propose",
        Grant::Control => "control",
        Grant::Own => "own",
    };
    let lines = RESTATED.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let restated: BTreeMap<&str, Vec<&str>> =
        lines.filter(|line| !line.is_empty()).map(|line| (line[0], line[1..].to_vec())).collect();
    let listed: BTreeMap<&str, Vec<&str>> = TABLE
        .iter()
        .map(|row| {
            let verdicts =
                [row.none, row.worker_own, row.worker_other, row.client_own, row.client_other, row.admin];
            (row.call, verdicts.map(word).into_iter().chain([need(row.need)]).collect())
        })
        .collect();
    assert_eq!(listed, restated);
}
