//! The short run of the fuzz targets: their entries, the corpus, and what lies near it.

use std::path::Path;

use andon::gateway::live::frame::ClientFrame;
use andon::kafka::codec;
use andon::kafka::schemas::SchemaIds;
use proptest::prelude::*;
use proptest::sample::Index;

#[path = "../../fuzz/entries.rs"]
mod entries;

/// What the corpus holds for a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "the corpus of {target} is empty");
    seeds.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, u8),
    /// A part again, up to many times.
    Repeat(Index, u8, u16),
    /// The end of another seed.
    Splice(Index, Index),
    Cut(Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<Index>(), proptest::collection::vec(any::<u8>(), 1..16)).prop_map(|(at, b)| Change::Insert(at, b)),
        (any::<Index>(), 1..16_u8).prop_map(|(at, count)| Change::Remove(at, count)),
        (any::<Index>(), 1..32_u8, 1..600_u16).prop_map(|(at, count, times)| Change::Repeat(at, count, times)),
        (any::<Index>(), any::<Index>()).prop_map(|(other, at)| Change::Splice(other, at)),
        any::<Index>().prop_map(Change::Cut),
    ];
    proptest::collection::vec(change, 0..6)
}

/// The largest frame that is taken from a client.
const MAX_BYTES: usize = 16 * 1024;

fn changed(seeds: &[Vec<u8>], seed: Index, changes: &[Change]) -> Vec<u8> {
    let mut bytes = seed.get(seeds).clone();
    for change in changes {
        let place = |at: &Index, bytes: &Vec<u8>| at.index(bytes.len() + 1);
        match change {
            Change::Set(at, byte) if !bytes.is_empty() => *at.get_mut(&mut bytes) = *byte,
            Change::Flip(at, bit) if !bytes.is_empty() => *at.get_mut(&mut bytes) ^= 1 << bit,
            Change::Insert(at, more) => {
                let at = place(at, &bytes);
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Remove(at, count) => {
                let at = place(at, &bytes);
                bytes.drain(at..(at + usize::from(*count)).min(bytes.len()));
            }
            Change::Repeat(at, count, times) => {
                let at = place(at, &bytes);
                let part = bytes[at..(at + usize::from(*count)).min(bytes.len())].repeat((*times).into());
                bytes.splice(at..at, part);
            }
            Change::Splice(other, at) => {
                let (other, at) = (other.get(seeds), place(at, &bytes));
                bytes.truncate(at);
                bytes.extend_from_slice(&other[at.min(other.len())..]);
            }
            Change::Cut(at) => bytes.truncate(place(at, &bytes)),
            Change::Set(..) | Change::Flip(..) => {}
        }
        bytes.truncate(MAX_BYTES);
    }
    bytes
}

macro_rules! short_run {
    ($($name:ident of $target:ident)+) => {
        $(
            #[test]
            fn $name() {
                let seeds = corpus(stringify!($target));
                seeds.iter().for_each(|seed| entries::$target(seed));
                let mut config = ProptestConfig::with_cases(4_000);
                // What breaks goes into the corpus.
                config.failure_persistence = None;
                proptest!(config, |(seed in any::<Index>(), changes in changes())| {
                    entries::$target(&changed(&seeds, seed, &changes));
                });
                let mut config = ProptestConfig::with_cases(1_000);
                config.failure_persistence = None;
                proptest!(config, |(bytes in proptest::collection::vec(any::<u8>(), 0..512))| {
                    entries::$target(&bytes);
                });
            }
        )+
    };
}

short_run! {
    frames_of_clients_are_taken_or_refused of frame
    queries_and_parameters_are_taken_or_refused of query
    records_are_taken_or_refused of record
}

#[test]
fn the_corpus_begins_with_what_is_good() {
    let is_taken = |seed: &&Vec<u8>| std::str::from_utf8(seed).is_ok_and(|text| ClientFrame::parse(text).is_ok());
    assert_eq!(corpus("frame").iter().filter(is_taken).count(), 4);
    let ids = SchemaIds::builtin();
    let seeds = corpus("record");
    let records = seeds.iter().filter(|seed| codec::decode_record(seed, &ids).is_ok()).count();
    let stops = seeds.iter().filter(|seed| codec::decode_stop(seed, &ids).is_ok()).count();
    let figures = seeds.iter().filter(|seed| codec::decode_figure(seed, &ids).is_ok()).count();
    assert_eq!((records, stops, figures), (2, 1, 1));
}
