-- Since which version a function takes more: its share of the CPU time of each version.
WITH versions AS (
    SELECT version, SUM(self) AS all_ns
    FROM function_minute
    WHERE event = 'cpu' AND unit = 'nanoseconds'
    GROUP BY version
)
SELECT f.function AS in_function, f.module AS in_module, f.version AS of_version,
    MIN(f.minute) AS first_seen, 1e2 * SUM(f.self) / MAX(v.all_ns) AS self_percent
FROM function_minute AS f
JOIN versions AS v ON f.version = v.version
WHERE f.event = 'cpu' AND f.unit = 'nanoseconds'
GROUP BY f.function, f.module, f.version
HAVING 1e2 * SUM(f.self) / MAX(v.all_ns) >= 1
ORDER BY in_function, in_module, first_seen, of_version
LIMIT 100
