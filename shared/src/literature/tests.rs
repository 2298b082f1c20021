use super::*;
use serde_json::{Value, json};

/// A finding that is right.
fn finding() -> Value {
    json!({
        "question": "does warmup help?",
        "abstraction_level": 2,
        "claim": "three epochs of warmup steady the start",
        "recipe": {"method": "warmup", "learning_rate": "1e-3", "other_hparams": {"warmup_epochs": 3}},
        "evidence": {"strength": "strong", "n_papers_agree": 3, "has_ablation": true},
        "citations": [{"title": "A Closer Look", "arxiv_id": "1810.13243", "doi": null, "year": 2018}],
        "applicability_to_our_setup": "the same small batches",
        "proposed_change": "Warm the rate up over 3 epochs.",
        "files_to_edit": ["train.py"],
        "how_to_verify": "the loss of the first epochs falls",
        "verdict": "keep",
        "verdict_reason": "cheap and sound",
    })
}

fn review(findings: &[Value]) -> Value {
    json!({"iteration": 2, "research_scale": "low", "questions_asked": ["q"], "findings": findings,
           "summary": "warm up"})
}

fn parsed(value: &Value) -> Finding {
    serde_json::from_value(value.clone()).expect("a finding")
}

#[test]
fn p33_the_table_is_the_published_schema() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../tests/data/literature_schema.json")).expect("JSON");
    assert_eq!(form::published::differences(&schema), Vec::<String>::new());
    // The comparison itself finds a difference.
    let mut other = schema.clone();
    other["$defs"]["finding"]["required"].as_array_mut().expect("a list").pop();
    assert_eq!(form::published::differences(&other).len(), 1);
}

#[test]
fn p33_a_review_of_the_published_shape_is_read_and_written_back_the_same() {
    let whole = review(&[finding()]);
    let read = read(whole.to_string().as_bytes()).expect("right");
    assert_eq!((read.iteration, read.findings.len()), (2, 1));
    assert_eq!(read.findings[0].citations[0].year, Some(2018));
    let back = serde_json::to_vec(&read).expect("representable");
    assert_eq!(super::read(&back), Ok(read), "what was left out is left out again");
    let empty = json!({"iteration": 7, "findings": []});
    assert!(super::read(empty.to_string().as_bytes()).expect("no compelling evidence").findings.is_empty());
}

/// The one fault of a review of two findings with this value at this place, or without it.
#[track_caller]
fn check(place: &str, value: Option<Value>, finding_: Option<u32>, words: &str) {
    let mut whole = review(&[finding(), finding()]);
    let (parent, key) = place.rsplit_once('/').expect("a pointer");
    match (whole.pointer_mut(parent).expect("its parent"), value) {
        (Value::Object(fields), Some(value)) => _ = fields.insert(key.to_owned(), value),
        (Value::Object(fields), None) => _ = fields.remove(key),
        (Value::Array(items), Some(value)) => items[key.parse::<usize>().expect("an index")] = value,
        (parent, _) => panic!("{parent}"),
    }
    let faults = read(whole.to_string().as_bytes()).expect_err(place);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!((faults[0].finding, faults[0].pointer.as_str()), (finding_, place));
    assert!(faults[0].problem.contains(words), "{:?}", faults[0]);
}

#[test]
fn p33_each_fault_is_told_with_its_finding_and_its_place() {
    check("/iteration", Some(json!("two")), None, "\"two\" is no whole number");
    check("/iteration", Some(json!(0)), None, "the least is 1");
    check("/iteration", Some(json!(1.5)), None, "1.5 is no whole number");
    check("/findings", None, None, "is missing");
    check("/findings", Some(json!("none")), None, "is no list");
    check("/research_scale", Some(json!("huge")), None, "low, medium, high, x-high");
    check("/questions_asked/0", Some(json!(7)), None, "7 is no text");
    check("/more", Some(json!(1)), None, "is not known; there are iteration, ");
    check("/findings/1", Some(json!("a claim")), Some(2), "is no object");
    check("/findings/1/claim", None, Some(2), "is missing");
    check("/findings/1/claim", Some(json!("  ")), Some(2), "is empty");
    check("/findings/1/claim", Some(json!("x".repeat(9_000))), Some(2), "at most 8000");
    check("/findings/0/abstraction_level", Some(json!(3)), Some(1), "the most is 2");
    check("/findings/0/recipe/method", Some(json!(["warmup"])), Some(1), "a list is no text");
    check("/findings/0/recipe/other_hparams", Some(json!("dropout")), Some(1), "is no object");
    check("/findings/0/evidence/strength", Some(json!("huge")), Some(1), "strong, moderate, weak");
    check("/findings/0/evidence/n_papers_agree", Some(json!(-1)), Some(1), "the least is 0");
    check("/findings/0/evidence/has_ablation", Some(json!("yes")), Some(1), "true or false");
    check("/findings/1/citations", Some(json!([])), Some(2), "give at least 1");
    check("/findings/1/citations/0/title", None, Some(2), "is missing");
    check("/findings/1/citations/0/title", Some(json!("")), Some(2), "is empty");
    check("/findings/1/citations/0/year", Some(json!("2018")), Some(2), "is no whole number");
    check("/findings/1/citations/0/authors", Some(json!("x")), Some(2), "is not known");
    check("/findings/1/files_to_edit/0", Some(json!(null)), Some(2), "null is no text");
    check("/findings/1/verdict", Some(json!("maybe")), Some(2), "keep, reject");
    check("/findings/1/verdict", None, Some(2), "is missing");
}

#[test]
fn p33_hostile_documents_are_refused_whole() {
    let refused = |bytes: &[u8], words: &str| {
        let faults = read(bytes).expect_err(words);
        assert!(faults.iter().any(|fault| fault.problem.contains(words)), "{words}: {faults:?}");
    };
    refused(b"", "it is no JSON");
    refused(b"{\"iteration\": 1,", "it is no JSON: EOF while parsing a value at line 1 column 16");
    refused(b"\xff\xfe", "it is no JSON");
    refused("[".repeat(1 << 16).as_bytes(), "it is no JSON: recursion limit exceeded");
    refused(&vec![b' '; REVIEW_MAX_BYTES + 1], "at most");
    let many = review(&vec![finding(); FINDINGS_MAX + 1]);
    refused(many.to_string().as_bytes(), "has 65 entries; at most 64");
    let mut large = finding();
    large["recipe"]["free"] = json!("x".repeat(20_000));
    refused(review(&[large]).to_string().as_bytes(), "at most 16384");
    let mut deep = finding();
    deep["recipe"]["free"] = (0..20).fold(json!(1), |inner, _| json!([inner]));
    refused(review(&[deep]).to_string().as_bytes(), "more than 8 levels deep");
    // Whatever a document holds, all of it is told at once.
    let faults = read(br#"{"findings": [{}, 7]}"#).expect_err("wrong");
    assert_eq!(faults.iter().filter(|fault| fault.finding == Some(1)).count(), 7, "{faults:?}");
    assert_eq!(faults.iter().filter(|fault| fault.finding == Some(2)).count(), 1, "{faults:?}");
}

#[test]
fn p33_a_paper_is_its_arxiv_id_else_its_doi_else_its_address() {
    let paper = |citations: Value| {
        let mut value = finding();
        value["citations"] = citations;
        let finding = parsed(&value);
        (finding.paper().map(|(_, id)| id.to_owned()), finding.title().to_owned())
    };
    let id = |id: &str, title: &str| (Some(id.to_owned()), title.to_owned());
    let all = json!({"title": "A", "url": "https://a.org", "doi": "10.1/a", "arxiv_id": "1810.13243"});
    assert_eq!(paper(json!([all])), id("1810.13243", "A"));
    assert_eq!(paper(json!([{"title": "A", "url": "https://a.org", "doi": "10.1/a"}])), id("10.1/a", "A"));
    assert_eq!(
        paper(json!([{"title": "A", "url": " https://a.org ", "doi": " "}])),
        id("https://a.org", "A")
    );
    assert_eq!(paper(json!([{"title": "A"}, {"title": "B", "doi": "10.1/b"}])), id("10.1/b", "B"));
    assert_eq!(paper(json!([{"title": "A", "arxiv_id": "as I recall"}])), (None, "A".to_owned()));
}

#[test]
fn p33_relevance_follows_strength() {
    let words = [Strength::Strong, Strength::Moderate, Strength::Weak].map(|one| one.relevance().as_str());
    assert_eq!(words, ["high", "med", "low"]);
}

#[test]
fn p36_a_scope_is_agnostic_or_a_tag() {
    for (text, is_scope) in
        [("agnostic", true), ("vit-b_16", true), ("ViT", false), ("", false), ("a b", false), ("-a", false)]
    {
        assert_eq!(Scope::parse(text).is_some(), is_scope, "{text:?}");
    }
    let vit = Scope::parse("vit").expect("a tag");
    assert!(vit.covers("vit") && !vit.covers("cnn") && Scope::agnostic().covers("cnn"));
    assert!(serde_json::from_value::<Scope>(json!("A Net")).is_err());
}

#[test]
fn p34_the_same_change_is_known_in_other_words_of_the_same_letters() {
    let key = |change: &str, files: &[&str]| {
        let mut value = finding();
        (value["proposed_change"], value["files_to_edit"]) = (json!(change), json!(files));
        change_key(&parsed(&value))
    };
    let one = key("Use AdamW, wd=0.05", &["train.py"]);
    assert_eq!(one, key("use  adamw (wd = 0.05).", &["./train.py"]));
    assert_ne!(one, key("use adamw wd=0.5", &["train.py"]));
    assert_ne!(one, key("use adamw wd=0.05", &["model.py"]));
    assert_ne!(key("rate 1e-4", &[]), key("rate 1e4", &[]));
    assert_eq!(key("", &["a.py", "b.py"]), key("", &["b.py", "a.py", "a.py"]));
}

#[test]
fn p34_the_same_recipe_of_the_same_paper_is_known() {
    let key = |id: &str, recipe: Value| {
        let mut value = finding();
        value["citations"] = json!([{"title": "A", "arxiv_id": id}]);
        value["recipe"] = recipe;
        recipe_key(&parsed(&value))
    };
    let one = key("1810.13243", json!({"method": "Warmup", "other_hparams": {"epochs": 3}}));
    assert!(one.is_some());
    for same in ["arXiv:1810.13243v2", "https://arxiv.org/abs/1810.13243", "1810.13243v1"] {
        assert_eq!(key(same, json!({"other_hparams": {"epochs": 3}, "method": "warmup"})), one, "{same}");
    }
    assert_ne!(key("1810.13243", json!({"method": "warmup", "other_hparams": {"epochs": 5}})), one);
    assert_ne!(key("1810.13244", json!({"method": "warmup", "other_hparams": {"epochs": 3}})), one);
    assert_eq!(key("1810.13243", json!({})), None, "a paper alone is no recipe");
    assert_eq!(key("", json!({"method": "warmup"})), None, "nor is a recipe without a paper");
}
