use rz_profile::fixture;

use super::*;

fn page(profile: &mut Profile, limit: u64) -> String {
    let mut out = Vec::new();
    write_page(&mut out, "a.rz", profile, PageOptions { event: None, limit, calls: None }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_page_is_the_same_each_time_and_has_its_policy_first() {
    let mut profile = fixture::with_heap();
    let one = page(&mut profile, u64::MAX);
    assert_eq!(one, page(&mut profile, u64::MAX));
    let policy = one.find("http-equiv=\"Content-Security-Policy\"").unwrap();
    assert!(policy < one.find("<style").unwrap() && policy < one.find("<script").unwrap());
    assert!(!one.contains("{{"));
}
