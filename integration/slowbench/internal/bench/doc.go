// Package bench measures calls with large values over slow links.
package bench
