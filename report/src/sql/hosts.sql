-- Which hosts differ: functions that take a larger share of one host's CPU time than of all.
WITH by_host AS (
    SELECT host, SUM(self) AS host_ns
    FROM function_hour
    WHERE event = 'cpu' AND unit = 'nanoseconds'
    GROUP BY host
),
shares AS (
    SELECT f.host AS on_host, f.function AS in_function, f.module AS in_module,
        1e2 * SUM(f.self) / MAX(h.host_ns) AS percent
    FROM function_hour AS f
    JOIN by_host AS h ON f.host = h.host
    WHERE f.event = 'cpu' AND f.unit = 'nanoseconds'
    GROUP BY f.host, f.function, f.module
),
sums AS (
    SELECT function, module, SUM(self) AS function_ns
    FROM function_hour
    WHERE event = 'cpu' AND unit = 'nanoseconds'
    GROUP BY function, module
),
fleet AS (
    SELECT SUM(host_ns) AS fleet_ns FROM by_host
)
SELECT s.on_host AS different_host, s.in_function AS function_name, s.in_module AS module_name,
    s.percent AS host_percent, 1e2 * a.function_ns / g.fleet_ns AS fleet_percent,
    s.percent - 1e2 * a.function_ns / g.fleet_ns AS difference
FROM shares AS s
JOIN sums AS a ON s.in_function = a.function AND s.in_module = a.module
CROSS JOIN fleet AS g
WHERE s.percent >= 1
ORDER BY difference DESC, different_host, function_name, module_name
LIMIT 30
