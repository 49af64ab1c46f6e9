//! Sets of milliseconds as sorted spans that neither overlap nor abut.

use crate::domain::time::Span;

/// The set that any spans cover together.
pub fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| !span.is_empty());
    spans.sort_unstable();
    let mut set: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match set.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => set.push(span),
        }
    }
    set
}

/// What two sets have in common.
pub fn intersection(a: &[Span], b: &[Span]) -> Vec<Span> {
    let (mut i, mut j) = (0, 0);
    let mut both = Vec::new();
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        both.extend(x.intersect(y));
        if x.to <= y.to {
            i += 1;
        } else {
            j += 1;
        }
    }
    both
}

/// What is in `a` and not in `b`.
pub fn difference(a: &[Span], b: &[Span]) -> Vec<Span> {
    let mut rest = Vec::new();
    let mut j = 0;
    for span in a {
        while b.get(j).is_some_and(|other| other.to <= span.from) {
            j += 1;
        }
        let mut from = span.from;
        for other in b[j..].iter().take_while(|other| other.from < span.to) {
            if from < other.from {
                rest.push(Span::new(from, other.from));
            }
            from = from.max(other.to);
        }
        if from < span.to {
            rest.push(Span::new(from, span.to));
        }
    }
    rest
}
