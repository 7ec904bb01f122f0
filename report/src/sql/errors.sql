-- System calls that fail, by program and error.
SELECT p.name AS program, c.name AS call_name, c.error AS error_name,
    SUM(c.calls) AS failed_calls, COUNT(DISTINCT c.trace_id) AS traces
FROM syscall AS c
LEFT JOIN process AS p ON c.trace_id = p.trace_id AND c.process_id = p.process_id
WHERE c.error IS NOT NULL
GROUP BY p.name, c.name, c.error
ORDER BY failed_calls DESC, program, call_name, error_name
LIMIT 30
