-- Who waits for disks, and where: time in each function that called for it.
SELECT t.host AS on_host, p.name AS program, w.reason AS why, f.function AS in_function,
    SUM(w.weight_ns) AS wait_ns, COUNT(*) AS waits, MAX(w.duration_ns) AS longest_ns
FROM wait AS w
JOIN trace AS t ON w.trace_id = t.trace_id
LEFT JOIN process AS p ON w.trace_id = p.trace_id AND w.process_id = p.process_id
LEFT JOIN stack AS s ON w.trace_id = s.trace_id AND w.stack_id = s.stack_id
LEFT JOIN frame AS f ON s.trace_id = f.trace_id AND s.leaf_frame_id = f.frame_id
WHERE w.state = 'disk'
GROUP BY t.host, p.name, w.reason, f.function
ORDER BY wait_ns DESC, on_host, program, why, in_function
LIMIT 30
