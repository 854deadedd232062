//! What a store sees from 10,000 clients in the first minute after an outage: requests per second, second by second.
//!
//! ```sh
//! cargo bench --bench herd                # some seconds; SEED gives another herd
//! ```
//!
//! It is a simulation in virtual time: the pace of each client is the real one, the store and the network are numbers
//! (50 ms a request). So the figures are the same on any machine. The promise is a peak second of at most three times
//! the mean; a unit test holds it.

use logchute::testing::{Herd, peak_over_mean};

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

fn main() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    println!("{} clients, the minute after the store is back, requests per second:", Herd::default().clients);
    let mut worst = 0.0_f64;
    for (what, herd) in Herd::cases() {
        let minute = Herd { seed: seed.unwrap_or(herd.seed), ..herd }.first_minute();
        let (peak, sum) = (minute.iter().max().copied().unwrap_or(0), minute.iter().sum::<u32>());
        let ratio = peak_over_mean(&minute);
        worst = worst.max(ratio);
        let curve: String = minute.iter().map(|&count| BARS[(count * 7 / peak.max(1)) as usize]).collect();
        println!("\n{what}\n{curve}  peak {peak}, mean {}, {ratio:.2} x", sum / 60);
    }
    println!("\nworst: {worst:.2} x (promised: 3)");
    assert!(worst <= 3.0, "a rush");
}
