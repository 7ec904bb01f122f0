-- The functions of the fleet in which most CPU time is spent.
SELECT function, module, SUM(self) AS self_ns, SUM(total) AS total_ns, COUNT(DISTINCT host) AS hosts
FROM function_hour
WHERE event = 'cpu' AND unit = 'nanoseconds'
GROUP BY function, module
ORDER BY self_ns DESC, function, module
LIMIT 30
