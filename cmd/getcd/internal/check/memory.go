package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// memoryMetric is the name of a process's memory in Prometheus' client library.
const memoryMetric = "process_resident_memory_bytes"

// Memory returns how much memory a member uses, in bytes. url is the address of
// its metrics. The error has etcdctl's wording.
func Memory(ctx context.Context, c *http.Client, url string) (_ float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("fetch error: %w", err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, fmt.Errorf("fetch error: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		value, ok := strings.CutPrefix(lines.Text(), memoryMetric+" ")
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return 0, fmt.Errorf("parse error: %w", err)
		}
		if n <= 0 {
			return 0, errors.New("parse error: " + memoryMetric + " is " + value)
		}
		return n, nil
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("fetch error: reading %s: %w", url, err)
	}
	return 0, errors.New("could not find: " + memoryMetric)
}
