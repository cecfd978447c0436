package main

import (
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"time"

	"go.etcd.io/etcd/api/v3/version"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/wire"
)

// page is a page that is being rendered.
type page struct {
	*book
	scene

	name string
}

// funcs are what templates call for.
func (p *page) funcs() template.FuncMap {
	return template.FuncMap{
		"cluster":  p.startCluster,
		"at":       p.at,
		"header":   p.header,
		"login":    p.login,
		"do":       p.do,
		"call":     p.call,
		"messages": p.messages,
		"refusal":  p.refusal,
		"fails":    p.fails,
		"answers":  p.answers,
		"curl":     p.curlCall,
		"fields":   p.fields,
		"code":     p.code,
		"etcd":     p.etcdCode,
		"large":    large,
		"learner":  p.learner,
		"until":    p.until,
		"has":      p.has,
		"storage":  storage,
		"kill":     p.kill,
		"remove":   p.remove,
		"snapshot": p.snapshot,

		"memberExists": p.memberExists,

		"provoke":    p.provoke,
		"told":       p.told,
		"unseen":     p.unseen,
		"allTold":    p.allTold,
		"errorIndex": p.errorIndex,
		"wireCodes":  p.wireCodes,
		"jwtCluster": p.jwtCluster,
		"leaderDies": p.leaderDies,
		"badVersion": p.badVersion,

		"version": func() string { return version.Version },
		"calls":   p.calls,
		"big":     p.big,
		"goodbye": p.goodbye,
		"rude":    p.rude,

		"curlAt":       p.curlAt,
		"http":         p.rawHTTP,
		"httpCodes":    httpCodes,
		"gatewayPaths": p.gatewayPaths,
		"rpcIndex":     p.rpcIndex,

		"stream":         p.stream,
		"streamMessages": p.streamMessages,
		"send":           send,
		"await":          await,
		"then":           then,
		"finish":         finish,
		"cancel":         cancelStream,
		"breaks":         breakStream,
	}
}

// startCluster starts a new cluster of that many members, with etcd's flags. It has no
// output.
func (p *page) startCluster(size int, flags ...string) (string, error) {
	return "", p.begin(cluster.Config{Size: size, Flags: flags})
}

// at makes the calls that follow go to the member with that name.
func (p *page) at(name string) (string, error) {
	if p.member = p.cluster.Member(name); p.member == nil {
		return "", fmt.Errorf("there is no member %q", name)
	}
	return "", nil
}

// patience is how long until, has and fails try.
const patience = 20 * time.Second

// until is call for what succeeds in a while: what fails before is not shown.
func (p *page) until(method, request string) (string, error) {
	return p.retry(method, request, func(*answered) bool { return true })
}

// has is call for what answers with a field of that value in a while.
func (p *page) has(field, value, method, request string) (string, error) {
	return p.retry(method, request, func(a *answered) bool {
		m := a.answer[0].ProtoReflect()
		return m.Get(m.Descriptor().Fields().ByName(protoreflect.Name(field))).String() == value
	})
}

// storage is the version of the database that etcd has after a while: its own, without
// the patch.
func storage() string {
	v := version.Version
	return v[:strings.LastIndexByte(v, '.')] + ".0"
}

func (p *page) retry(method, request string, good func(*answered) bool) (string, error) {
	for began := time.Now(); ; {
		a, err := p.invoke(method, request, wire.Options{Format: wire.Frames, Secrets: true})
		if err != nil {
			return "", err
		}
		if a.err == nil && good(a) {
			p.show(method)
			return p.listed(a, method, request)
		}
		if time.Since(began) > patience {
			return "", fmt.Errorf("%s {%s}: still not as it should be: %w, %v", method, request, errOrOK(a.err), a.answer)
		}
		if err := p.moment(); err != nil {
			return "", err
		}
	}
}

// header makes the calls that follow carry that metadata; an empty value takes it away.
func (p *page) header(name, value string) string {
	p.md = metadata.Join(p.md)
	if p.md == nil {
		p.md = metadata.MD{}
	}
	p.md.Delete(name)
	if value != "" {
		p.md.Set(name, value)
	}
	return ""
}

// do makes a call that has to succeed, and shows nothing.
func (p *page) do(method, request string) (string, error) {
	a, err := p.invoke(method, request, wire.Options{})
	if err != nil {
		return "", err
	}
	if a.err != nil {
		return "", fmt.Errorf("%s {%s}: %w", method, request, a.err)
	}
	return "", nil
}

// call makes a call that has to succeed, and lists its frames.
func (p *page) call(method, request string) (string, error) {
	return p.list(method, request, wire.Options{Format: wire.Frames, Secrets: method != "Maintenance/Snapshot"})
}

// messages makes a call that has to succeed, and lists its messages alone.
func (p *page) messages(method, request string) (string, error) {
	return p.list(method, request, wire.Options{Format: wire.Messages, Secrets: method != "Maintenance/Snapshot"})
}

func (p *page) list(method, request string, o wire.Options) (string, error) {
	a, err := p.invoke(method, request, o)
	if err != nil {
		return "", err
	}
	if a.err != nil {
		return "", fmt.Errorf("%s {%s}: %w", method, request, a.err)
	}
	p.show(method)
	return p.listed(a, method, request)
}

func (p *page) listed(a *answered, method, request string) (string, error) {
	text, err := listing(a.trace, a.path)
	if err != nil {
		return "", err
	}
	return "`" + method + "` " + code("{"+request+"}") + "\n\n" + fence("text", text), nil
}

func (p *page) show(method string) { p.shown = append(p.shown, shownCall{p.name, method}) }

// login makes the calls that follow carry a token of that user; without a name they carry
// none.
func (p *page) login(name, password string) (string, error) {
	p.header("token", "")
	if name == "" {
		return "", nil
	}
	a, err := p.invoke("Auth/Authenticate", fmt.Sprintf("name:%q password:%q", name, password), wire.Options{})
	if err != nil {
		return "", err
	}
	if a.err != nil {
		return "", a.err
	}
	m := a.answer[0].ProtoReflect()
	return p.header("token", m.Get(m.Descriptor().Fields().ByName("token")).String()), nil
}

// large is a text of that many bytes.
func large(n int) string { return strings.Repeat("x", n) }

var many = regexp.MustCompile(`x{40,}`)

// code is a text as code in Markdown, also in a table.
func code(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	s = many.ReplaceAllStringFunc(s, func(x string) string { return fmt.Sprintf("x…(%d bytes)", len(x)) })
	return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
}

// snapshot lists the messages of a snapshot, once the file has the five pages that it needs
// at least: when the server commits is a matter of chance, and may take one more.
func (p *page) snapshot() (string, error) {
	for began := time.Now(); ; {
		if _, err := p.do("Maintenance/Defragment", ""); err != nil {
			return "", err
		}
		text, err := p.messages("Maintenance/Snapshot", "")
		if err != nil || strings.Contains(text, "length 20491") || time.Since(began) > patience {
			return text, err
		}
		if err := p.moment(); err != nil {
			return "", err
		}
	}
}
