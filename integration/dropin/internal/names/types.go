package names

import (
	"fmt"
	"go/types"
	"slices"
	"strings"
)

// declared compares the declarations of two types, except for their exported
// fields and methods, which are compared as names of their own.
func (c *Comparison) declared(want, got *types.TypeName) string {
	if foreign(want) {
		if _, inside := c.pairs[types.Unalias(want.Type()).(*types.Named).Obj().Pkg()]; !inside {
			return c.differ(want.Type(), got.Type())
		}
	}
	if types.Comparable(want.Type()) && !types.Comparable(got.Type()) {
		return "cannot be compared with =="
	}
	switch w := want.Type().Underlying().(type) {
	case *types.Struct:
		g, ok := got.Type().Underlying().(*types.Struct)
		if !ok {
			return "is no struct"
		}
		return c.structs(w, g, false)
	case *types.Interface:
		g, ok := got.Type().Underlying().(*types.Interface)
		if !ok {
			return "is no interface"
		}
		return c.interfaces(w, g, false)
	default:
		return c.differ(w, got.Type().Underlying())
	}
}

// differ returns how two types differ, or an empty string.
func (c *Comparison) differ(want, got types.Type) string {
	if c.same(want, got) {
		return ""
	}
	return fmt.Sprintf("is %s, not %s", c.text(got), c.text(want))
}

func (c *Comparison) text(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string { return p.Name() })
}

func (c *Comparison) same(want, got types.Type) bool {
	want, got = types.Unalias(want), types.Unalias(got)
	if types.Identical(want, got) {
		return true
	}
	if other, ok := c.Loggers[types.TypeString(want, nil)]; ok && other == types.TypeString(got, nil) {
		c.logger = true
		return true
	}
	key := [2]types.Type{want, got}
	if c.inside[key] {
		return true
	}
	c.inside[key] = true
	defer delete(c.inside, key)

	switch w := want.(type) {
	case *types.Named:
		return c.named(w, got)
	case *types.Pointer:
		g, ok := got.(*types.Pointer)
		return ok && c.same(w.Elem(), g.Elem())
	case *types.Slice:
		g, ok := got.(*types.Slice)
		return ok && c.same(w.Elem(), g.Elem())
	case *types.Array:
		g, ok := got.(*types.Array)
		return ok && w.Len() == g.Len() && c.same(w.Elem(), g.Elem())
	case *types.Map:
		g, ok := got.(*types.Map)
		return ok && c.same(w.Key(), g.Key()) && c.same(w.Elem(), g.Elem())
	case *types.Chan:
		g, ok := got.(*types.Chan)
		return ok && w.Dir() == g.Dir() && c.same(w.Elem(), g.Elem())
	case *types.Signature:
		g, ok := got.(*types.Signature)
		return ok && w.Variadic() == g.Variadic() && c.tuples(w.Params(), g.Params()) && c.tuples(w.Results(), g.Results())
	case *types.Struct:
		g, ok := got.(*types.Struct)
		return ok && c.structs(w, g, true) == ""
	case *types.Interface:
		g, ok := got.(*types.Interface)
		return ok && c.interfaces(w, g, true) == ""
	}
	return false
}

// named compares a named type. A type of a compared package must correspond to
// the type of the same name in the other package.
func (c *Comparison) named(want *types.Named, got types.Type) bool {
	p, ok := c.pairs[want.Obj().Pkg()]
	if !ok {
		return false // of a third package, and not identical
	}
	if !want.Obj().Exported() {
		// A type that programs cannot name may have any name.
		g, ok := got.(*types.Named)
		return ok && !g.Obj().Exported()
	}
	if p.Got == nil {
		return false
	}
	namesake, ok := p.Got.Scope().Lookup(want.Obj().Name()).(*types.TypeName)
	return ok && types.Identical(types.Unalias(namesake.Type()), got)
}

func (c *Comparison) tuples(want, got *types.Tuple) bool {
	if want.Len() != got.Len() {
		return false
	}
	for i := range want.Len() {
		if !c.same(want.At(i).Type(), got.At(i).Type()) {
			return false
		}
	}
	return true
}

// structs compares what programs can see of two structs. Without fields, the
// fields are compared elsewhere.
func (c *Comparison) structs(want, got *types.Struct, fields bool) string {
	wanted, hides := visible(want)
	gotten, _ := visible(got)
	if c.converts(want) && !types.Identical(want, got) {
		return "cannot be converted to the protocol's message"
	}
	if !hides && (len(gotten) != got.NumFields() || len(gotten) != len(wanted)) {
		return "cannot be written without field names: it has other fields"
	}
	at := 0
	for i, w := range wanted {
		if !hides {
			at = i
		} else {
			for at < len(gotten) && gotten[at].Name() != w.Name() {
				at++
			}
		}
		if at >= len(gotten) || gotten[at].Name() != w.Name() {
			if hides {
				return ""
			}
			return fmt.Sprintf("has its field %s elsewhere", w.Name())
		}
		g := gotten[at]
		if w.Embedded() != g.Embedded() {
			return fmt.Sprintf("embeds %s, or does not", w.Name())
		}
		if wt, gt := tag(want, w), tag(got, g); wt != gt {
			return fmt.Sprintf("has the tag %q at %s, not %q", gt, w.Name(), wt)
		}
		if fields && !c.same(w.Type(), g.Type()) {
			return fmt.Sprintf("has another %s", w.Name())
		}
	}
	return ""
}

// converts reports whether a struct belongs to a third package and has fields
// that only that package can name: programs then convert one into the other.
func (c *Comparison) converts(s *types.Struct) bool {
	for v := range s.Fields() {
		if _, inside := c.pairs[v.Pkg()]; !inside && !v.Exported() {
			return true
		}
	}
	return false
}

// visible returns the exported fields, and whether there are unexported ones.
func visible(s *types.Struct) (fields []*types.Var, hides bool) {
	for v := range s.Fields() {
		if v.Exported() {
			fields = append(fields, v)
		} else {
			hides = true
		}
	}
	return fields, hides
}

func tag(s *types.Struct, f *types.Var) string {
	for i := range s.NumFields() {
		if s.Field(i) == f {
			return s.Tag(i)
		}
	}
	return ""
}

// interfaces compares two interfaces. Programs implement them, so neither may
// have more methods. Without methods, missing and different methods are reported
// elsewhere.
func (c *Comparison) interfaces(want, got *types.Interface, methods bool) string {
	wanted, gotten := methodsOf(want), methodsOf(got)
	var more []string
	for name := range gotten {
		if wanted[name] == nil {
			more = append(more, name)
		}
	}
	if len(more) > 0 {
		slices.Sort(more)
		return "demands more methods: " + strings.Join(more, ", ")
	}
	if hides(want) != hides(got) {
		return "can be implemented, or cannot"
	}
	if !methods {
		return ""
	}
	for name, w := range wanted {
		if g := gotten[name]; g == nil || !c.same(w.Type(), g.Type()) {
			return "has another " + name
		}
	}
	return ""
}

func methodsOf(i *types.Interface) map[string]*types.Func {
	all := make(map[string]*types.Func)
	for m := range i.Methods() {
		if m.Exported() {
			all[m.Name()] = m
		}
	}
	return all
}

// hides reports whether an interface has unexported methods.
func hides(i *types.Interface) bool {
	for m := range i.Methods() {
		if !m.Exported() {
			return true
		}
	}
	return false
}
