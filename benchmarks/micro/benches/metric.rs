//! The metric of a log of 100 MB, in the pieces in which a worker reads it.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use windlass_engine::metric::Reader;
use windlass_shared::attempt::MetricSpec;
use windlass_shared::bindings::MetricLine;

const LOG_BYTES: usize = 100_000_000;
const PIECE_BYTES: usize = 1 << 16;

fn metric(criterion: &mut Criterion) {
    let mut log = Vec::with_capacity(LOG_BYTES + 100);
    for step in 0_u64.. {
        if log.len() >= LOG_BYTES {
            break;
        }
        let loss = 1.0 / (step + 1) as f64;
        log.extend_from_slice(format!("step {step}\tloss {loss:.6}\tlr 0.001\n").as_bytes());
    }
    log.extend_from_slice(b"val_acc: 0.9731\n");
    let spec = MetricSpec { name: "val_acc".to_owned(), line: MetricLine::ExactlyOne, range: None };
    let mut group = criterion.benchmark_group("metric");
    group.sample_size(10).throughput(Throughput::Bytes(log.len() as u64));
    group.bench_function("100 MB of log", |bencher| {
        bencher.iter(|| {
            let mut reader = Reader::new(&spec);
            for piece in log.chunks(PIECE_BYTES) {
                reader.push(piece);
            }
            reader.finish()
        });
    });
    group.finish();
}

criterion_group!(benches, metric);
criterion_main!(benches);
