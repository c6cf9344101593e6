//! Which cases of the truth table are played: all of them, or those that `KURYR_POLICY_CASES` says.

use kuryr_e2e::{Result, ensure};
use kuryr_netpol_oracle::cases::Case;
use std::env;

const VARIABLE: &str = "KURYR_POLICY_CASES";

/// All cases; so many of them, evenly from the whole list, if the variable is a number; else those that have it in their name.
pub fn chosen(cases: Vec<Case>) -> Result<Vec<Case>> {
    let wish = env::var(VARIABLE).unwrap_or_default();
    let chosen = choose(cases, &wish);
    ensure!(!chosen.is_empty(), "no case has {wish:?} in its name, as {VARIABLE} wants it");
    Ok(chosen)
}

fn choose(cases: Vec<Case>, wish: &str) -> Vec<Case> {
    if let Ok(count) = wish.parse::<usize>() {
        let all = cases.len();
        let is_taken = |index: usize| (index + 1) * count / all > index * count / all;
        return cases
            .into_iter()
            .enumerate()
            .filter_map(|(index, case)| is_taken(index).then_some(case))
            .collect();
    }
    cases.into_iter().filter(|case| case.name.contains(wish)).collect()
}

#[test]
fn a_number_is_a_sample_and_a_word_a_part_of_names() {
    let case = |number: u32| Case {
        name: format!("case {number}"),
        origin: kuryr_netpol_oracle::cases::Origin::Suite,
        policies: vec![],
    };
    let cases: Vec<_> = (0..40).map(case).collect();
    let names = |wish| choose(cases.clone(), wish).into_iter().map(|case| case.name).collect::<Vec<_>>();
    assert_eq!(names("").len(), 40);
    assert_eq!(names("4"), ["case 9", "case 19", "case 29", "case 39"]);
    assert_eq!(names("400").len(), 40);
    assert_eq!(names("0").len(), 0);
    assert_eq!(names("se 7"), ["case 7"]);
}
