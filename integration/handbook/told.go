package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/integration/cluster"
)

// provoke is fails without a row: the call is told of where the error is.
func (p *page) provoke(name, method, request, why string) (string, error) {
	_, err := p.fails(name, method, request, why)
	return "", err
}

// told is the section of errors.md about an error that a page has provoked.
func (p *page) told(name, meaning, todo string) (string, error) {
	var rows []string
	for _, f := range p.failed {
		if f.name == name {
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s | %s |", f.method, code("{"+f.request+"}"), f.code, f.why, p.pageLink(f)))
		}
	}
	if len(rows) == 0 {
		return "", fmt.Errorf("no page provokes ErrGRPC%s: it is for unseen to tell of", name)
	}
	return p.section(name, meaning, "| provoked with | request | code | because | page |\n|---|---|---|---|---|\n"+strings.Join(rows, "\n"), todo)
}

// unseen is the section about an error that no page provokes; how says why, and how it is
// known.
func (p *page) unseen(name, meaning, how, todo string) (string, error) {
	for _, f := range p.failed {
		if f.name == name {
			return "", fmt.Errorf("%s provokes ErrGRPC%s: it is for told to tell of", f.page, name)
		}
	}
	return p.section(name, meaning, "Not provoked here. "+how, todo)
}

func (p *page) pageLink(f failure) string {
	if f.page == p.name {
		return "here"
	}
	return fmt.Sprintf("[%s](%s)", f.page, f.page)
}

func (p *page) section(name, meaning, how, todo string) (string, error) {
	err, ok := rpcErrors[name]
	if !ok || p.inErrors[name] {
		return "", fmt.Errorf("rpctypes has no ErrGRPC%s, or it is told twice", name)
	}
	if p.inErrors == nil {
		p.inErrors = make(map[string]bool)
	}
	p.inErrors[name] = true
	getcd, e := treatment(p.ctx, err)
	if e != nil {
		return "", fmt.Errorf("ErrGRPC%s: %w", name, e)
	}
	s := status.Convert(err)
	return fmt.Sprintf("<a id=%q></a>\n\n### %s\n\n`rpctypes.ErrGRPC%s`, %s (%d). %s\n\n%s\n\n**What now:** %s\n\n**getcd:** %s",
		anchor(name), s.Message(), name, s.Code(), s.Code(), meaning, how, todo, getcd), nil
}

// allTold fails when errors.md has left one out.
func (p *page) allTold() (string, error) {
	for _, name := range slices.Sorted(maps.Keys(rpcErrors)) {
		if !p.inErrors[name] {
			return "", fmt.Errorf("errors.md does not tell of ErrGRPC%s", name)
		}
	}
	return "", nil
}

// index is a table of all errors by their text.
func (p *page) errorIndex() string {
	var rows []string
	for name, err := range rpcErrors {
		s := status.Convert(err)
		rows = append(rows, fmt.Sprintf("| [%s](errors.md#%s) | %s (%d) |", s.Message(), anchor(name), s.Code(), s.Code()))
	}
	slices.Sort(rows)
	return "| text | code |\n|---|---|\n" + strings.Join(rows, "\n")
}

// wireCodes are the errors that arrive with another code than rpctypes says.
func (p *page) wireCodes() string {
	var out []string
	for _, f := range p.failed {
		if want := status.Code(rpcErrors[f.name]); f.code != want.String() {
			s := fmt.Sprintf("- `%s` of `%s`: %s, and not %s", status.Convert(rpcErrors[f.name]).Message(), f.method, f.code, want)
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// jwtCluster is cluster for tokens that are JWTs.
func (p *page) jwtCluster() (string, error) {
	key, err := p.temporary("jwt.key", []byte("a specimen of a key, which signs nothing of worth"))
	if err != nil {
		return "", err
	}
	return "", p.begin(cluster.Config{Size: 1, AuthToken: "jwt,sign-method=HS256,priv-key=" + key})
}
