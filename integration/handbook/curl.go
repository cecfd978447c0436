package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// exchange is a call over the JSON gateway.
type exchange struct {
	page, method, path string
	line               string // for a shell
	answer             string
}

// httpPaths are where the JSON gateway serves the method: its google.api.http option.
func httpPaths(m protoreflect.MethodDescriptor) []string {
	rule, ok := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return nil
	}
	out := []string{rule.GetPost()}
	for _, r := range rule.GetAdditionalBindings() {
		out = append(out, r.GetPost())
	}
	return out
}

// curlCall makes a call over the JSON gateway, and shows it as a command line and what
// that answers. Of a stream that has no end a second is shown.
func (p *page) curlCall(method, request string) (string, error) {
	m, err := findMethod(method)
	if err != nil {
		return "", err
	}
	paths := httpPaths(m)
	if len(paths) == 0 {
		return "", fmt.Errorf("%s is not served by the gateway", method)
	}
	return p.curlAt(paths[0], method, request)
}

// curlAt is curlCall for a method that has several paths.
func (p *page) curlAt(path, method, request string) (string, error) {
	m, err := findMethod(method)
	if err != nil {
		return "", err
	}
	x, err := p.exchange(m, path, request)
	if err != nil {
		return "", fmt.Errorf("%s {%s} over the gateway: %w", method, request, err)
	}
	p.gateway = append(p.gateway, *x)
	return x.String(), nil
}

func (x *exchange) String() string { return fence("sh", x.line) + "\n\n" + fence("json", x.answer) }

func (p *page) exchange(m protoreflect.MethodDescriptor, path, request string) (*exchange, error) {
	req, err := newMessage(m.Input(), request)
	if err != nil {
		return nil, err
	}
	shown, err := compactJSON(req)
	if err != nil {
		return nil, err
	}
	b, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(p.names.Message(b, m.Input(), true), req); err != nil {
		return nil, err
	}
	body, err := compactJSON(req)
	if err != nil {
		return nil, err
	}
	token := ""
	if t := p.md.Get("token"); len(t) > 0 {
		token = t[0]
	}
	endless := short(m) == "Watch/Watch" || short(m) == "Election/Observe"
	x := &exchange{page: p.name, method: short(m), path: path, line: curlLine(shownEndpoint(p.index())+path, shown, token, endless)}
	send := p.post
	if p.curl {
		send = p.runCurl
	}
	status, answer, err := send(p.member.Endpoint()+path, body, p.names.Real(token), endless)
	if err != nil {
		return nil, err
	}
	normal, err := p.names.JSON(answer, m.Output())
	if err != nil {
		return nil, fmt.Errorf("%w: %.200s", err, answer)
	}
	var out bytes.Buffer
	if status != http.StatusOK {
		fmt.Fprintf(&out, "HTTP status %d\n", status)
	}
	for line := range bytes.Lines(normal) {
		const wide = 100
		if len(line) <= wide {
			out.Write(line)
			continue
		}
		if err := json.Indent(&out, bytes.TrimSpace(line), "", "  "); err != nil {
			return nil, err
		}
		out.WriteByte('\n')
	}
	x.answer = strings.TrimSpace(out.String())
	return x, nil
}

// streamTime is how long a stream without an end is listened to.
const streamTime = time.Second

// curlLine is what package wire writes for such a call (a test compares them), but for the
// limit of a stream.
func curlLine(url, body, token string, endless bool) string {
	line := "curl -sS "
	if endless {
		line += "-N -m " + strconv.Itoa(int(streamTime.Seconds())) + " "
	}
	line += "http://" + url
	if token != "" {
		line += " -H 'Authorization: " + token + "'"
	}
	return line + " -d '" + strings.ReplaceAll(body, "'", `'\''`) + "'"
}

// post does with net/http what curlLine's command does.
func (p *page) post(url, body, token string, endless bool) (int, []byte, error) {
	ctx, done := p.context()
	defer done()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded") // as curl's -d
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	t := &http.Transport{DisableKeepAlives: true}
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	var over *time.Timer
	if endless {
		over = time.AfterFunc(streamTime, done)
		defer over.Stop()
	}
	b, err := io.ReadAll(resp.Body)
	if endless {
		err = nil
	}
	return resp.StatusCode, b, err
}

// runCurl runs curlLine's command.
func (p *page) runCurl(url, body, token string, endless bool) (int, []byte, error) {
	ctx, done := p.context()
	defer done()
	cmd := exec.CommandContext(ctx, "sh", "-c", curlLine(url, body, token, endless)+` -w '\n%{http_code}'`) //nolint:gosec // it is meant to be a shell's
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && !endless {
		return 0, nil, fmt.Errorf("%w: %s", err, stderr.Bytes())
	}
	i := bytes.LastIndexByte(out, '\n')
	if i < 0 {
		return 0, nil, fmt.Errorf("curl has written no status: %s%s", out, stderr.Bytes())
	}
	status, err := strconv.Atoi(string(out[i+1:]))
	return status, out[:i], err
}

// compactJSON is a message as package wire writes it for curl.
func compactJSON(m proto.Message) (string, error) {
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = json.Compact(&out, b) // protojson puts in spaces at random
	return out.String(), err
}
