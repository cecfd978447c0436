package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
)

// gatewayPaths lists every path of the gateway, with the first exchange on it that some
// page has shown.
func (p *page) gatewayPaths() (string, error) {
	var w strings.Builder
	for _, s := range services() {
		for i := range s.Methods().Len() {
			m := s.Methods().Get(i)
			for _, path := range httpPaths(m) {
				at := slices.IndexFunc(p.gateway, func(x exchange) bool { return x.path == path && !strings.HasPrefix(x.answer, "HTTP status") })
				if at < 0 { // a refusal is better than nothing
					at = slices.IndexFunc(p.gateway, func(x exchange) bool { return x.path == path })
				}
				if at < 0 {
					return "", fmt.Errorf("no page has called %s over the gateway", path)
				}
				link, err := p.link(short(m))
				if err != nil {
					return "", err
				}
				fmt.Fprintf(&w, "### %s\n\n%s\n\n%s\n\n", path, link, p.gateway[at].String())
			}
		}
	}
	return w.String(), nil
}

// rawHTTP is an HTTP request, and what comes back.
func (p *page) rawHTTP(method, path, body string) (string, error) {
	req, err := http.NewRequestWithContext(p.ctx, method, "http://"+p.member.Endpoint()+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	t := &http.Transport{DisableKeepAlives: true}
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var lines []string
	for name, values := range resp.Header {
		if name != "Date" && name != "Content-Length" {
			lines = append(lines, name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(lines)
	m, err := findMethod("KV/Range")
	if err != nil {
		return "", err
	}
	text := strings.ReplaceAll(string(answer), "\u00a0", " ") // protobuf's errors have one or the other
	if normal, err := p.names.JSON([]byte(text), m.Output()); err == nil {
		text = string(normal)
	}
	return "`" + method + " " + path + "` " + code(body) + "\n\n" + fence("http", resp.Proto+" "+resp.Status+"\n"+strings.Join(lines, "\n")+"\n\n"+text), nil
}

// httpCodes is a table of gRPC's codes and the gateway's statuses for them.
func httpCodes() string {
	var w strings.Builder
	w.WriteString("| code | HTTP status |\n|---|---|\n")
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		status := runtime.HTTPStatusFromCode(c)
		fmt.Fprintf(&w, "| %s (%d) | %d %s |\n", c, c, status, http.StatusText(status))
	}
	return w.String()
}

// link is where the pages tell of a method.
func (p *page) link(method string) (string, error) {
	at := slices.IndexFunc(p.shown, func(c shownCall) bool { return c.method == method })
	if at < 0 {
		return "", fmt.Errorf("no page shows %s", method)
	}
	on := p.shown[at].page
	src, err := templates.ReadFile("pages/" + on + ".tmpl")
	if err != nil {
		return "", err
	}
	_, name, _ := strings.Cut(method, "/")
	for line := range strings.Lines(string(src)) {
		heading, ok := strings.CutPrefix(strings.TrimSpace(line), "## ")
		if ok && slices.Contains(strings.FieldsFunc(heading, func(r rune) bool { return r == ' ' || r == ',' }), name) {
			return fmt.Sprintf("[%s](%s#%s)", method, on, slug(heading)), nil
		}
	}
	return "", errors.New(on + " has no heading for " + method)
}

// slug is the anchor that GitHub gives a heading.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
			return r
		}
		return -1
	}, strings.ToLower(heading))
}

// rpcIndex is a table of all RPCs.
func (p *page) rpcIndex() (string, error) {
	var w strings.Builder
	w.WriteString("| RPC | request | answer | over the gateway | getcd |\n|---|---|---|---|---|\n")
	for _, s := range services() {
		for i := range s.Methods().Len() {
			m := s.Methods().Get(i)
			link, err := p.link(short(m))
			if err != nil {
				return "", err
			}
			request, answer, paths := string(m.Input().Name()), string(m.Output().Name()), httpPaths(m)
			if m.IsStreamingClient() {
				request = "a stream of " + request
			}
			if m.IsStreamingServer() {
				answer = "a stream of " + answer
			}
			over := "no"
			if len(paths) > 0 {
				over = "[" + paths[0] + "](gateway.md#" + slug(paths[0]) + ")"
			}
			fmt.Fprintf(&w, "| %s | %s | %s | %s | %s |\n", link, request, answer, over, packageOf(string(s.Name())))
		}
	}
	return w.String(), nil
}

// packageOf is the package of getcd's for a service.
func packageOf(service string) string {
	dir := strings.ToLower(service)
	if service == "Health" {
		dir = "internal/policy"
	}
	return fmt.Sprintf("[%s](../../%s)", dir, dir)
}
