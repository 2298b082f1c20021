//! One iteration's whole life: a lever proposed, pulled, run, analysed, concluded and decided.

use criterion::{Criterion, criterion_group, criterion_main};
use windlass_micro::Story;

fn life(criterion: &mut Criterion) {
    let mut story = Story::new(8);
    criterion.bench_function("life/decide and apply one iteration", |bencher| {
        bencher.iter(|| {
            story.iterate();
            story.take()
        });
    });
}

criterion_group!(benches, life);
criterion_main!(benches);
