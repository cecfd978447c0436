package names

import (
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// Verdict is the result for a name.
type Verdict string

// The verdicts.
const (
	// Identical means that programs that use the name compile.
	Identical Verdict = "identical"
	// Logger means that it is identical except for the type of a logger.
	Logger Verdict = "logger"
	// Differs means that it exists, but that some programs do not compile.
	Differs Verdict = "differs"
	// Missing means that it does not exist.
	Missing Verdict = "missing"
)

// Name is one exported name: "New", "Client.Close", "Config.Endpoints".
type Name struct {
	Package string // below the two roots, such as "concurrency"; empty for the root
	Name    string
	Kind    string // "func", "type", "const", "var", "field" or "method"
	Verdict Verdict
	Detail  string // why it is not identical
}

// ID returns the name with its package, as programs write it.
func (n Name) ID() string { return strings.TrimPrefix(n.Package+"."+n.Name, ".") }

// Pair is a package on both sides.
type Pair struct {
	Path string // below the roots
	Want *types.Package
	Got  *types.Package // nil if it does not exist
}

// Comparison compares the packages of two trees with each other.
type Comparison struct {
	// Loggers maps types to their replacements. The key is the qualified name of
	// the wanted type, such as "*go.uber.org/zap.Logger".
	Loggers map[string]string

	pairs  map[*types.Package]Pair
	order  []Pair
	inside map[[2]types.Type]bool // pairs of unnamed types that are being compared
	logger bool                   // a logger was found
}

// New compares pairs of packages.
func New(loggers map[string]string, pairs ...Pair) *Comparison {
	c := &Comparison{Loggers: loggers, pairs: make(map[*types.Package]Pair), order: pairs}
	for _, p := range pairs {
		c.pairs[p.Want] = p
	}
	return c
}

// Names compares all exported names and returns them in the order of the pairs,
// and alphabetically within each pair.
func (c *Comparison) Names() []Name {
	var all []Name
	for _, p := range c.order {
		all = append(all, c.names(p)...)
	}
	return all
}

func (c *Comparison) names(p Pair) []Name {
	var out []Name
	for _, name := range p.Want.Scope().Names() {
		want := p.Want.Scope().Lookup(name)
		if !want.Exported() {
			continue
		}
		var got types.Object
		if p.Got != nil {
			got = p.Got.Scope().Lookup(name)
		}
		out = append(out, c.verdict(p, name, kind(want), got, func() string { return c.object(want, got) }))
		if t, ok := want.(*types.TypeName); ok {
			var gotType types.Type
			if g, ok := got.(*types.TypeName); ok {
				gotType = g.Type()
			}
			out = append(out, c.members(p, t, gotType)...)
		}
	}
	return out
}

// verdict runs diff, which returns why two objects differ, or an empty string.
func (c *Comparison) verdict(p Pair, name, kind string, got types.Object, diff func() string) Name {
	n := Name{Package: p.Path, Name: name, Kind: kind, Verdict: Missing}
	if got == nil {
		return n
	}
	c.logger = false
	c.inside = make(map[[2]types.Type]bool)
	switch n.Detail = diff(); {
	case n.Detail != "":
		n.Verdict = Differs
	case c.logger:
		n.Verdict = Logger
	default:
		n.Verdict = Identical
	}
	return n
}

// members returns a type's exported methods and fields, or the methods of an
// interface.
func (c *Comparison) members(p Pair, want *types.TypeName, got types.Type) []Name {
	if _, ok := want.Type().(*types.Alias); ok && foreign(want) {
		return nil // another package's members
	}
	var out []Name
	add := func(w types.Object, kind string) {
		if !w.Exported() {
			return
		}
		var g types.Object
		if got != nil {
			g, _, _ = types.LookupFieldOrMethod(got, true, p.Got, w.Name())
		}
		out = append(out, c.verdict(p, want.Name()+"."+w.Name(), kind, g, func() string { return c.member(want, w, got, g) }))
	}
	switch u := want.Type().Underlying().(type) {
	case *types.Struct:
		for v := range u.Fields() {
			add(v, "field")
		}
	case *types.Interface:
		for m := range u.ExplicitMethods() {
			add(m, "method")
		}
	}
	if n, ok := types.Unalias(want.Type()).(*types.Named); ok {
		for m := range n.Methods() {
			add(m, "method")
		}
	}
	slices.SortStableFunc(out, func(a, b Name) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// member compares a field or a method with the one of the same name.
func (c *Comparison) member(of *types.TypeName, want types.Object, gotType types.Type, got types.Object) string {
	if kind(want) != kind(got) {
		return fmt.Sprintf("is a %s", kind(got))
	}
	f, ok := want.(*types.Func)
	if ok && !types.IsInterface(of.Type()) && value(f) && types.NewMethodSet(gotType).Lookup(nil, f.Name()) == nil {
		return "has a pointer receiver"
	}
	return c.differ(want.Type(), got.Type())
}

// value reports whether a method has a value receiver.
func value(f *types.Func) bool {
	_, pointer := f.Signature().Recv().Type().(*types.Pointer)
	return !pointer
}

// foreign reports whether t is an alias of another package's type.
func foreign(t *types.TypeName) bool {
	n, ok := types.Unalias(t.Type()).(*types.Named)
	return ok && n.Obj().Pkg() != t.Pkg()
}

func kind(o types.Object) string {
	switch o := o.(type) {
	case *types.Func:
		if o.Signature().Recv() != nil {
			return "method"
		}
		return "func"
	case *types.TypeName:
		return "type"
	case *types.Const:
		return "const"
	case *types.Var:
		if o.IsField() {
			return "field"
		}
		return "var"
	default:
		return "object"
	}
}

func (c *Comparison) object(want, got types.Object) string {
	if kind(want) != kind(got) {
		return fmt.Sprintf("is a %s", kind(got))
	}
	switch want := want.(type) {
	case *types.TypeName:
		return c.declared(want, got.(*types.TypeName))
	case *types.Const:
		if diff := c.differ(want.Type(), got.Type()); diff != "" {
			return diff
		}
		if g := got.(*types.Const); !constant.Compare(want.Val(), token.EQL, g.Val()) {
			return fmt.Sprintf("is %v, not %v", g.Val(), want.Val())
		}
		return ""
	default:
		return c.differ(want.Type(), got.Type())
	}
}
