-- How much of each host was looked at, and what is missing.
SELECT host, SUM(wall_ns) AS recorded_ns, SUM(cpu_ns) AS sampled_ns, SUM(samples) AS cpu_samples,
    SUM(lost_samples) AS missing_samples, MIN(minute) AS first_minute, MAX(minute) AS last_minute
FROM exposure
GROUP BY host
ORDER BY host
LIMIT 1000
