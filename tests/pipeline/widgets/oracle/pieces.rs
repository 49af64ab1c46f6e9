//! Pieces by area and product.

use std::collections::BTreeMap;

use andon::config::tenant::LineSpec;
use andon::domain::production::config::Role;
use serde_json::{Map, Value, json};

use super::{Asked, Items, items};

/// Pieces by the part that their area plays: in, through, out, rejected.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts([i64; 4]);

// === impl Counts ===

impl Counts {
    pub(super) fn add(&mut self, part: Role, quantity: i64) {
        self.0[part as usize] += quantity;
    }

    pub(super) fn output(self) -> i64 {
        self.0[Role::Output as usize]
    }

    pub(super) fn told(self) -> Map<String, Value> {
        let parts = [Role::Input, Role::Process, Role::Output, Role::Reject];
        parts.map(|part| (name_of(&part), json!(self.0[part as usize]))).into_iter().collect()
    }
}

// === impl Asked ===

impl Asked<'_> {
    pub(super) fn weight(&self) -> Items {
        let grams = |id: i32| self.truth.spec.products.iter().find(|product| product.id == id)?.weight_g;
        let weigh = |line: Option<&LineSpec>, output: &BTreeMap<i32, i64>| {
            let known = |(id, pieces): (&i32, &i64)| Some(grams(*id)? * *pieces as f64);
            let unknown = output.iter().filter(|(id, _)| grams(**id).is_none());
            json!({"line": line.map(|line| &line.name), "title": line.map(|line| &line.title),
                "value": output.iter().filter_map(known).fold(0.0, |sum, part| sum + part),
                "output": output.values().sum::<i64>(),
                "without_weight": unknown.map(|(_, pieces)| pieces).sum::<i64>()})
        };
        let mut found = items([self.about(Some(self.span), &json!({}))]);
        let mut all = BTreeMap::new();
        for line in &self.lines {
            let mut output = BTreeMap::new();
            for (one, part, quantity) in self.pieces(line, &self.own(line)) {
                if part == Role::Output {
                    *output.entry(one.product_id).or_default() += quantity;
                    *all.entry(one.product_id).or_default() += quantity;
                }
            }
            found.insert(line.spec.name.clone(), weigh(Some(&line.spec), &output));
        }
        if self.lines.len() > 1 {
            found.insert("total".to_owned(), weigh(None, &all));
        }
        found
    }

    pub(super) fn areas(&self) -> Items {
        let mut found = items([self.about(Some(self.span), &json!({}))]);
        for line in &self.lines {
            for (place, area) in line.spec.areas.iter().enumerate() {
                if self.area.is_some_and(|only| only != i64::from(area.id)) {
                    continue;
                }
                let own = self.own(line);
                let of_it = self.pieces(line, &own).filter(|(one, ..)| one.area_id == area.id);
                let quantity: i64 = of_it.map(|(_, _, quantity)| quantity).sum();
                let item = json!({"line": line.spec.name, "title": line.spec.title, "area_id": area.id,
                    "name": area.name, "role": area.role, "place": place, "quantity": quantity});
                found.insert(format!("{}/{}", line.spec.name, area.id), item);
            }
        }
        found
    }

    pub(super) fn products(&self) -> Items {
        let mut counts: BTreeMap<i32, Counts> = BTreeMap::new();
        for line in &self.lines {
            let own = self.own(line);
            self.pieces(line, &own).for_each(|(one, part, n)| counts.entry(one.product_id).or_default().add(part, n));
        }
        let all: i64 = counts.values().map(|counts| counts.output()).sum();
        let mut found = items([self.about(Some(self.span), &json!({}))]);
        for (id, of_it) in &counts {
            let spec = self.truth.spec.products.iter().find(|product| product.id == *id);
            let before = |(other, counts): &(&i32, &Counts)| (-counts.output(), **other) < (-of_it.output(), *id);
            let mut item = of_it.told();
            let more = json!({"product_id": id, "code": spec.map(|spec| &spec.code),
                "name": spec.map(|spec| &spec.name), "color": spec.and_then(|spec| spec.color.as_ref()),
                "rank": counts.iter().filter(before).count() + 1,
                "share": (all > 0).then(|| of_it.output() as f64 / all as f64),
                "weight_g": spec.and_then(|spec| spec.weight_g).map(|grams| grams * of_it.output() as f64)});
            item.extend(more.as_object().expect("an object").clone());
            found.insert(id.to_string(), item.into());
        }
        found
    }
}

fn name_of(part: &Role) -> String {
    serde_json::to_value(part).expect("json").as_str().expect("text").to_owned()
}
