package grafana_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	getcdprom "github.com/getcd/getcd/observability/prometheus"
)

type dashboard struct {
	UID           string `json:"uid"`
	Title         string `json:"title"`
	SchemaVersion int    `json:"schemaVersion"`
	Panels        []panel
	Templating    struct {
		List []struct{ Name, Definition string }
	}
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Datasource  struct{ UID string }
	Targets     []struct{ Expr, LegendFormat string }
}

func read(t *testing.T) dashboard {
	t.Helper()
	b, err := os.ReadFile("getcd.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// exported are the labels of each metric that the collector describes. A histogram has its
// three series.
func exported() map[string][]string {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		getcdprom.New("x").Describe(descs)
	}()
	out := make(map[string][]string)
	form := regexp.MustCompile(`fqName: "([^"]*)".*constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)
	for d := range descs {
		m := form.FindStringSubmatch(d.String())
		names := []string{"client"}
		if m[3] != "" {
			names = append(names, strings.Split(m[3], ",")...)
		}
		out[m[1]] = names
		if strings.HasSuffix(m[1], "_duration_seconds") {
			out[m[1]+"_sum"], out[m[1]+"_count"], out[m[1]+"_bucket"] = names, names, append(slices.Clone(names), "le")
		}
	}
	return out
}

// query makes an expression what Prometheus is asked.
func query(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$client", ".*").Replace(expr)
}

// Each query parses, and each metric and label in it exists.
func TestQueries(t *testing.T) {
	known := exported()
	seen := 0
	check := func(where, expr string) {
		tree, err := parser.ParseExpr(query(expr))
		if err != nil {
			t.Errorf("%s: %s: %v", where, expr, err)
			return
		}
		var of []string // labels of the metrics in the expression
		parser.Inspect(tree, func(n parser.Node, _ []parser.Node) error {
			v, ok := n.(*parser.VectorSelector)
			if !ok {
				return nil
			}
			seen++
			names, ok := known[v.Name]
			if !ok {
				t.Errorf("%s: the collector exports no %s", where, v.Name)
			}
			for _, m := range v.LabelMatchers {
				if m.Name != labels.MetricName && !slices.Contains(names, m.Name) {
					t.Errorf("%s: %s has no label %s", where, v.Name, m.Name)
				}
			}
			if !slices.ContainsFunc(v.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == "client" }) {
				t.Errorf("%s: %s is not limited to the chosen clients", where, v.Name)
			}
			of = append(of, names...)
			return nil
		})
		parser.Inspect(tree, func(n parser.Node, _ []parser.Node) error {
			var used []string
			switch n := n.(type) {
			case *parser.AggregateExpr:
				used = n.Grouping
			case *parser.BinaryExpr:
				if n.VectorMatching != nil {
					used = slices.Concat(n.VectorMatching.MatchingLabels, n.VectorMatching.Include)
				}
			}
			for _, l := range used {
				if !slices.Contains(of, l) {
					t.Errorf("%s: no metric of %s has the label %s", where, expr, l)
				}
			}
			return nil
		})
	}
	d := read(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			check(p.Title, target.Expr)
			for _, l := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !strings.Contains(target.Expr, l[1]) {
					t.Errorf("%s: the legend has %s, which the query does not keep", p.Title, l[1])
				}
			}
		}
	}
	if seen < 25 {
		t.Errorf("%d metrics were checked, want more: is the form of the dashboard another one?", seen)
	}
}

// The variables are label_values of metrics that exist, or the data source.
func TestVariables(t *testing.T) {
	known := exported()
	for _, v := range read(t).Templating.List {
		m := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(v.Definition)
		switch {
		case v.Name == "datasource":
		case m == nil:
			t.Errorf("$%s is %q, want label_values", v.Name, v.Definition)
		case !slices.Contains(known[m[1]], m[2]):
			t.Errorf("$%s: the collector exports no %s with %s", v.Name, m[1], m[2])
		}
	}
}

// Grafana takes what it has written itself: distinct IDs, a schema it knows, panels that do
// not lie on each other, and the data source by its variable.
func TestImportable(t *testing.T) {
	d := read(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 39 {
		t.Errorf("the dashboard is %q %q of schema %d", d.UID, d.Title, d.SchemaVersion)
	}
	ids, cells := make(map[int]bool), make(map[string]string)
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the ID %d is used twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: the data source is %q", p.Title, p.Datasource.UID)
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s is wider than the dashboard", p.Title)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := fmt.Sprint(p.GridPos.X+x, ",", p.GridPos.Y+y)
				if cells[at] != "" {
					t.Fatalf("%s lies on %s", p.Title, cells[at])
				}
				cells[at] = p.Title
			}
		}
	}
}
