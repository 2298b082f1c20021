//! A review of the literature as it comes over the wire: of its published shape, or refused place by place (P33).

use windlass_proto::v1::AddFindingsRequest;
use windlass_shared::literature::{self, Review, Scope};
use windlass_shared::refusal::Refusal;

/// The review, and a scope for each of its findings.
pub(super) fn read(message: &AddFindingsRequest) -> Result<(Box<Review>, Vec<Scope>), Refusal> {
    let review = literature::read(&message.review_document)
        .map_err(|faults| Refusal::several(faults.into_iter().map(Refusal::from).collect()))?;
    let wrong = |problem: String| Refusal::Malformed { field: "scopes", problem };
    let read = |text: &String| {
        Scope::parse(text)
            .ok_or_else(|| wrong(format!("{text:?} is neither `agnostic` nor an architecture's tag")))
    };
    let given = message.scopes.iter().map(read).collect::<Result<Vec<Scope>, Refusal>>()?;
    let count = review.findings.len();
    let scopes = match given.as_slice() {
        [] => vec![Scope::agnostic(); count],
        [all] => vec![all.clone(); count],
        each if each.len() == count => given,
        each => return Err(wrong(format!("there are {} for {count} findings", each.len()))),
    };
    Ok((Box::new(review), scopes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(review: &str, scopes: &[&str], want: Result<&[&str], &str>) {
        let message = AddFindingsRequest {
            review_document: review.to_owned().into(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            ..AddFindingsRequest::default()
        };
        match (read(&message), want) {
            (Ok((_, found)), Ok(want)) => {
                assert_eq!(found.iter().map(Scope::as_str).collect::<Vec<_>>(), want, "{scopes:?}");
            }
            (Err(refusal), Err(want)) => assert!(refusal.to_string().contains(want), "{refusal}"),
            (found, want) => panic!("{found:?} for {want:?}"),
        }
    }

    #[test]
    fn p33_scopes_are_given_beside_a_review_of_the_published_shape() {
        let finding = r#"{"question":"q","abstraction_level":1,"claim":"c","evidence":{"strength":"weak"},
            "citations":[{"title":"t"}],"proposed_change":"p","verdict":"keep"}"#;
        let two = format!(r#"{{"iteration":1,"findings":[{finding},{finding}]}}"#);
        check(&two, &[], Ok(&["agnostic", "agnostic"]));
        check(&two, &["mlp"], Ok(&["mlp", "mlp"]));
        check(&two, &["mlp", "agnostic"], Ok(&["mlp", "agnostic"]));
        check(&two, &["mlp", "cnn", "vit"], Err("there are 3 for 2 findings"));
        check(&two, &["A Net"], Err("neither `agnostic` nor"));
        check(&two.replace(r#""claim":"c","#, ""), &[], Err("finding 2 at /findings/1/claim: is missing"));
        check("{", &[], Err("the review: it is no JSON"));
    }
}
