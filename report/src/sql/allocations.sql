-- What each service allocates, and in which functions.
SELECT cgroup, program, function, module, SUM(self) AS allocated_bytes, COUNT(DISTINCT host) AS hosts
FROM function_hour
WHERE event = 'alloc'
GROUP BY cgroup, program, function, module
HAVING SUM(self) > 0
ORDER BY allocated_bytes DESC, cgroup, program, function, module
LIMIT 30
