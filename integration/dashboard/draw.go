package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

// page is what page.html draws: the panels as Grafana has them, and for each of their queries
// what Prometheus has answered.
type page struct {
	Panels     []json.RawMessage   `json:"panels"`
	Results    [][]json.RawMessage `json:"results"`
	Start, End float64
}

// evaluate asks Prometheus what Grafana would ask it.
func evaluate(ctx context.Context, server, dashboard string, start, end time.Time) (*page, error) {
	b, err := os.ReadFile(dashboard) //nolint:gosec // the user's own
	if err != nil {
		return nil, err
	}
	var d struct{ Panels []json.RawMessage }
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, err
	}
	p := &page{Panels: d.Panels, Start: seconds(start), End: seconds(end)}
	// Grafana's variables: a rate needs four scrapes (docs of $__rate_interval).
	variables := strings.NewReplacer("$__rate_interval", (5 * scrape).String(), "$__range", fmt.Sprintf("%ds", int(end.Sub(start).Seconds())), "$client", ".*")
	for _, raw := range d.Panels {
		var panel struct {
			Title   string
			Targets []struct {
				Expr    string
				Instant bool
			}
		}
		if err := json.Unmarshal(raw, &panel); err != nil {
			return nil, err
		}
		results := []json.RawMessage{}
		for _, target := range panel.Targets {
			q := url.Values{"query": {variables.Replace(target.Expr)}}
			path := "/api/v1/query_range?"
			if target.Instant {
				path = "/api/v1/query?"
				q.Set("time", number(p.End))
			} else {
				q.Set("start", number(p.Start))
				q.Set("end", number(p.End))
				q.Set("step", number(scrape.Seconds()))
			}
			var answer struct {
				Data struct{ Result json.RawMessage }
			}
			if err := get(ctx, server+path+q.Encode(), &answer); err != nil {
				return nil, fmt.Errorf("%s: %w", panel.Title, err)
			}
			results = append(results, answer.Data.Result)
		}
		p.Results = append(p.Results, results)
	}
	return p, nil
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func number(f float64) string { return strconv.FormatFloat(f, 'f', 3, 64) }

// draw has the browser draw the page.
func draw(ctx context.Context, browser, dir string, p *page, picture string) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, p); err != nil {
		return err
	}
	html := filepath.Join(dir, "page.html")
	if err := os.WriteFile(html, text.Bytes(), 0o600); err != nil {
		return err
	}
	picture, err = filepath.Abs(picture)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", //nolint:gosec // the program is the user's
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
		"--user-data-dir="+filepath.Join(dir, "browser"), "--window-size=1600,1834", "--screenshot="+picture, "file://"+html)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	_, err = os.Stat(picture)
	return err
}
