-- What changed at a time: CPU seconds per second and host before and after, by function.
-- at: 2026-01-01 14:05:00
WITH looked_at AS (
    SELECT SUM(CASE WHEN minute < TIMESTAMP '2026-01-01 14:05:00' THEN wall_ns ELSE 0 END) AS before_ns,
        SUM(CASE WHEN minute < TIMESTAMP '2026-01-01 14:05:00' THEN 0 ELSE wall_ns END) AS after_ns
    FROM exposure
),
sums AS (
    SELECT function, module,
        SUM(CASE WHEN minute < TIMESTAMP '2026-01-01 14:05:00' THEN self ELSE 0 END) AS self_before,
        SUM(CASE WHEN minute < TIMESTAMP '2026-01-01 14:05:00' THEN 0 ELSE self END) AS self_after
    FROM function_minute
    WHERE event = 'cpu' AND unit = 'nanoseconds'
    GROUP BY function, module
)
SELECT s.function AS in_function, s.module AS in_module,
    COALESCE(1e0 * s.self_before / NULLIF(e.before_ns, 0), 0) AS cores_before,
    COALESCE(1e0 * s.self_after / NULLIF(e.after_ns, 0), 0) AS cores_after,
    COALESCE(1e0 * s.self_after / NULLIF(e.after_ns, 0), 0)
        - COALESCE(1e0 * s.self_before / NULLIF(e.before_ns, 0), 0) AS difference
FROM sums AS s
CROSS JOIN looked_at AS e
ORDER BY ABS(difference) DESC, in_function, in_module
LIMIT 30
