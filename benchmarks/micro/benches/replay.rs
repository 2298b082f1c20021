//! The records of 100,000 iterations folded again, and the snapshot of what they fold to. Records are at hand
//! as values: what SQLite and JSON take is measured by `windlass-micro open`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use windlass_engine::core::Durable;
use windlass_micro::Story;

const ITERATIONS: u64 = 100_000;

fn replay(criterion: &mut Criterion) {
    let mut story = Story::new(8);
    let mut records = story.take();
    for _ in 0..ITERATIONS {
        story.iterate();
        records.extend(story.take());
    }
    let mut bytes = Vec::new();
    story.core.durable().write_to(&mut bytes).expect("a state is representable");
    let mut group = criterion.benchmark_group("replay");
    group.sample_size(10).throughput(Throughput::Elements(ITERATIONS));
    group.bench_function("fold 100,000 iterations", |bencher| {
        bencher.iter(|| {
            let mut durable = Durable::default();
            for record in &records {
                durable.apply(record);
            }
            durable
        });
    });
    group.bench_function("write their snapshot", |bencher| {
        bencher.iter(|| {
            let mut out = Vec::with_capacity(bytes.len());
            story.core.durable().write_to(&mut out).map(|()| out)
        });
    });
    group.bench_function("read their snapshot", |bencher| {
        bencher.iter(|| Durable::read_from(bytes.as_slice()))
    });
    group.finish();
}

criterion_group!(benches, replay);
criterion_main!(benches);
