//! Exact sums of waits and system calls, as they are shown.

use rz_profile::model::{Total, TotalClass};
use serde::{Serialize, Serializer};

/// What waits or system calls add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum(pub Total);

impl Sum {
    /// A sum of waits.
    pub fn of_waits(total: Total) -> Self {
        Sum(Total { class: TotalClass::Waits, ..total })
    }

    /// A sum of system calls.
    pub fn of_calls(total: Total) -> Self {
        Sum(Total { class: TotalClass::Calls, ..total })
    }

    /// A sum of calls of a function.
    pub fn of_functions(total: Total) -> Self {
        Sum(Total { class: TotalClass::Functions, ..total })
    }
}

/// What is written of a sum.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Sum"))]
struct Fields {
    /// How many there were.
    count: u64,
    /// How many of them failed; `null` of waits, which cannot, and of functions.
    errors: Option<u64>,
    /// The time they took.
    total_ns: u64,
    /// The part of it in which the thread was ready to run; `null` of
    /// calls.
    ready_ns: Option<u64>,
    /// The shortest; `null` if there is none.
    min_ns: Option<u64>,
    /// The mean.
    mean_ns: Option<u64>,
    /// The longest.
    max_ns: Option<u64>,
    /// The median, estimated from `durations`.
    p50_ns: Option<u64>,
    /// The 99th percentile, estimated likewise.
    p99_ns: Option<u64>,
    /// How many took how long: each bucket that is not empty.
    durations: Vec<Bucket>,
}

/// Durations from a power of two up to the next one.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Bucket {
    /// The shortest that belong here; of the first bucket, 0.
    from_ns: u64,
    /// How many.
    count: u64,
}

impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sum = &self.0;
        let buckets = sum.histogram.0.iter().enumerate().filter(|(_, count)| **count > 0);
        let any = sum.count > 0;
        let from_ns = |bucket: usize| if bucket == 0 { 0 } else { 1 << bucket };
        let fields = Fields {
            count: sum.count,
            errors: (sum.class == TotalClass::Calls).then_some(sum.errors),
            total_ns: sum.total_ns,
            ready_ns: (sum.class == TotalClass::Waits).then_some(sum.queued_ns),
            min_ns: any.then_some(sum.min_ns),
            mean_ns: sum.total_ns.checked_div(sum.count),
            max_ns: any.then_some(sum.max_ns),
            p50_ns: any.then(|| quantile(sum, 0.5)),
            p99_ns: any.then(|| quantile(sum, 0.99)),
            durations: buckets
                .map(|(bucket, &count)| Bucket { from_ns: from_ns(bucket), count })
                .collect(),
        };
        fields.serialize(serializer)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Sum {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Fields::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Fields::json_schema(generator)
    }
}

/// The duration that a share `q`, between nothing and one, of all durations
/// does not exceed. It is an estimate: durations are taken to be spread evenly
/// over each bucket, which covers a factor of two.
pub fn quantile(total: &Total, q: f64) -> u64 {
    let buckets = &total.histogram.0;
    let rank = q * buckets.iter().map(|&count| count as f64).sum::<f64>();
    let mut below = 0.0;
    for (bucket, &count) in buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
        let count = count as f64;
        if below + count >= rank {
            let start = if bucket == 0 { 0 } else { 1 << bucket };
            let end = if bucket + 1 == buckets.len() { u64::MAX } else { 2 << bucket };
            // A file can claim a longest that is shorter than the shortest.
            let limit = |ns: u64| ns.min(total.max_ns).max(total.min_ns) as f64;
            let (start, end) = (limit(start), limit(end));
            return (start + (end - start) * ((rank - below) / count)) as u64;
        }
        below += count;
    }
    total.max_ns
}

#[cfg(test)]
mod tests {
    use rz_profile::model::Histogram;
    use serde_json::Value;

    use super::*;

    fn total(buckets: &[(usize, u64)], min_ns: u64, max_ns: u64) -> Total {
        let mut histogram = Histogram::default();
        buckets.iter().for_each(|&(bucket, count)| histogram.0[bucket] = count);
        Total { min_ns, max_ns, histogram, ..Total::default() }
    }

    #[test]
    fn quantiles_are_inside_the_bucket_and_the_limits() {
        let check = |buckets: &[(usize, u64)], (min, max), q, expected| {
            assert_eq!(quantile(&total(buckets, min, max), q), expected, "{buckets:?} {q}");
        };
        // 1024 to 2047 ns.
        check(&[(10, 100)], (0, 5000), 0.5, 1536);
        check(&[(10, 100)], (1100, 1200), 0.5, 1150);
        check(&[(10, 1)], (1500, 1500), 0.99, 1500);
        check(&[(10, 50), (20, 50)], (1024, 2_000_000), 0.5, 2048);
        check(&[(10, 99), (20, 1)], (1024, 1_048_576), 0.995, 1_048_576);
        check(&[(0, 5)], (0, 1), 0.5, 0);
        // The last bucket has no end but the longest.
        check(&[(39, 2)], (0, 1 << 41), 1.0, 1 << 41);
        check(&[], (3, 9), 0.5, 9);
        check(&[(39, u64::MAX), (5, u64::MAX)], (9, 0), 0.99, 9);
    }

    #[test]
    fn a_sum_has_what_was_counted_and_what_follows() {
        let sum = Total { count: 4, total_ns: 10, queued_ns: 3, ..total(&[(1, 3), (3, 1)], 2, 9) };
        let json = serde_json::to_value(Sum::of_waits(sum)).unwrap();
        assert_eq!(json["mean_ns"], 2);
        assert_eq!((&json["ready_ns"], &json["errors"]), (&3.into(), &Value::Null));
        let none = serde_json::to_value(Sum::of_calls(Total::default())).unwrap();
        assert_eq!((&none["errors"], &none["p50_ns"]), (&0.into(), &Value::Null));
        let buckets = serde_json::json!([{"from_ns": 2, "count": 3}, {"from_ns": 8, "count": 1}]);
        assert_eq!(json["durations"], buckets);
    }
}
