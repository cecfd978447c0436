package misuse_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"iter"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cluster"
	"github.com/getcd/getcd/concurrency/cas"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/concurrency/stm"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/gateway"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/maintenance"
	"github.com/getcd/getcd/middleware/cache"
	"github.com/getcd/getcd/middleware/leasing"
	"github.com/getcd/getcd/middleware/once"
	"github.com/getcd/getcd/middleware/ordering"
	"github.com/getcd/getcd/mirror"
	"github.com/getcd/getcd/naming"
	"github.com/getcd/getcd/view"
	"github.com/getcd/getcd/watch"
)

// Every package of the module is walked but these: its exported functions and methods
// with a context or options are called, all of them, with nil.
var leftOut = map[string]string{
	"bin":           "what is built, and others' sources",
	"clientv3":      "clientv3's nil_test.go walks it",
	"cmd":           "a program",
	"compat":        "a module of its own",
	"etcdtest":      "its contexts and options are gRPC's, which says so",
	"config":        "a module of its own",
	"examples":      "a module of its own",
	"integration":   "a module of its own",
	"internal":      "for those that are walked",
	"observability": "modules of their own",
	"tools":         "a module of its own",
}

// others are tested, or can't be, for the reason given.
var others = map[string]string{
	"kv.OpGet": "an Op with an error", "kv.OpPut": "an Op with an error", "kv.OpDelete": "an Op with an error",
	"kv.OpWatch": "an Op with an error", "kv.OpCompact": "a CompactOp with an error",
	"kv.IsOptsWithPrefix": "it asks about options", "kv.IsOptsWithFromKey": "it asks about options",
	"kv.New": "its calls say so", "kv.NewStreamer": "its calls say so", "auth.New": "its calls say so",
	"cluster.New": "its calls say so", "election.NewService": "its calls say so", "lease.New": "its calls say so",
	"lock.NewService": "its calls say so", "ordering.NewKV": "its calls say so", "maintenance.New": "its calls say so",
	"maintenance.WithCallOptions":      "the calls say so",
	"session.WithContext":              "nil means none",
	"session.Session.Context":          "it returns one",
	"lease.GrantNew":                   "it has only the context of its Lease's call",
	"stm.STM.Put":                      "it panics to leave apply, and Run returns the error",
	"naming.Service.Op":                "an Op with an error",
	"mirror.Client.Get":                "it is the caller's",
	"mirror.Client.Watch":              "it is the caller's",
	"naming.Client.Do":                 "it is the caller's",
	"view.Follower.Follow":             "it is the caller's",
	"kv.Transactor.Txn":                "it is the caller's",
	"naming.Client.Follow":             "it is the caller's",
	"auth.Service.UserSetPasswordHash": "it looks at the hash first; as UserChangePassword",
	"watch.New":                        "its calls say so",
	"watch.WithCallOptions":            "the calls say so",
	"resolver.Source.Resolve":          "it is a scheme's own, and called with the resolver's context",
	"balancer.NewContext":              "it is made of a context, as context.WithValue, and the call with it says so",
	"balancer.FromContext":             "gRPC calls it with a context of its own",
	"client.WithIdempotentWrites":      "it makes a context, and the call with it says so",
	"once.NewConn":                     "its calls say so",
	"once.Of":                          "the calls of its connection say so",
	"cache.NewConn":                    "its calls say so",
	"cache.Of":                         "the calls of its connection say so",
	"client.Conn.WaitReady":            "client.Client.WaitReady is it",
	"client.Observer.BeginCall":        "the client calls it with a call's context",
	"client.Observer.EndCall":          "the client calls it with a call's context",
	"client.Observer.BeginAttempt":     "the client calls it with a call's context",
	"client.Observer.EndAttempt":       "the client calls it with a call's context",
}

// services makes what has the methods of a type.
func services(t *testing.T, members *etcdtest.Cluster, cc grpc.ClientConnInterface) map[string]any {
	t.Helper()
	ctx := t.Context()
	must := func(v any, err error) any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	store := kv.New(cc)
	leases := lease.New(cc)
	watcher := watch.New(cc)
	s := must(session.New(ctx, leases)).(*session.Session)
	kept := must(leasing.New(ctx, store, watcher, leases, "leasing/")).(*leasing.KV)
	locker := must(lock.NewLocker(cc, lock.Config{})).(*lock.Locker)
	held := must(locker.Lock(ctx, "held")).(*lock.Held)
	led := must(election.New(cc, "led")).(*election.Election)
	if err := led.Campaign(ctx, ""); err != nil {
		t.Fatal(err)
	}
	mutex := must(lock.New(cc, "mutex")).(*lock.Mutex)
	if err := mutex.TryLock(ctx); err != nil {
		t.Fatal(err)
	}
	pool := must(lock.NewPool(cc)).(*lock.Pool)
	clients := recipe.NewClient(store, watcher)
	c := must(client.New(client.Config{
		Endpoints:   members.Addrs(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(members.Dialer())},
	})).(*client.Client)
	registry := must(naming.New(clients, "x")).(*naming.Service)
	registered := must(registry.Register(ctx, leases, "x/registered", naming.Endpoint{})).(*naming.Registration)
	following, stop := context.WithCancel(ctx)
	flags := must(view.New(following, watcher, "flags", view.Config[string]{Decode: view.JSON[string]})).(*view.View[string])
	json := must(gateway.New([]string{"http://127.0.0.1:1"}, gateway.Options{})).(*gateway.Conn)
	t.Cleanup(func() {
		stop()
		<-flags.Done()
		ctx := context.WithoutCancel(ctx)
		for _, err := range []error{held.Unlock(ctx), mutex.Unlock(ctx), pool.Close(ctx), led.Resign(ctx), registered.Close(ctx), kept.Close(ctx), s.Close(ctx), leases.Close(), watcher.Close(), c.Close(), json.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return map[string]any{
		"kv.KV": store, "kv.Marker": must(kv.NewMarker(store, "marker")), "kv.Streamer": kv.NewStreamer(cc), "lease.Lease": leases, "auth.Auth": auth.New(cc), "auth.Service": auth.New(cc),
		"cluster.Cluster": cluster.New(cc), "maintenance.Maintenance": maintenance.New(cc), "maintenance.Service": maintenance.New(cc),
		"lock.Service": lock.NewService(cc), "lock.Locker": locker, "lock.Held": held, "lock.Mutex": mutex, "lock.Pool": pool,
		"election.Service": election.NewService(cc), "election.Election": led, "session.Session": s, "leasing.KV": kept,
		"mirror.Mirror":  must(mirror.New(clients, "x")),
		"naming.Service": registry, "naming.Registration": registered,
		"recipe.Barrier": recipe.NewBarrier(clients, "b"), "recipe.DoubleBarrier": recipe.NewDoubleBarrier(clients, s, "d", 1),
		"recipe.Queue": recipe.NewQueue(clients, "q"), "recipe.PriorityQueue": recipe.NewPriorityQueue(clients, "p"),
		"watch.Watcher": watcher, "client.Client": c, "client.Conn": c.Conn(), "gateway.Conn": json,
		"cas.Store": must(cas.New(store, "cas/")), "once.Conn": once.NewConn(cc, "once/"),
		"cache.Conn":     cache.NewConn(cc, []string{"cache/"}),
		"recipe.RWMutex": recipe.NewRWMutex(clients, s, "r"), "view.View": flags,
	}
}

// functions are those of the packages, which reflection does not find.
var functions = map[string]any{
	"lock.New": lock.New, "lock.NewPool": lock.NewPool, "election.New": election.New, "election.Resume": election.Resume,
	"mirror.New": mirror.New, "session.New": session.New, "leasing.New": leasing.New, "naming.New": naming.New, "naming.NewBuilder": naming.NewBuilder,
	"view.New": view.New[string], "recipe.WaitEvents": recipe.WaitEvents, "stm.Run": stm.Run, "client.Dial": client.Dial,
}

// Whatever takes a context or options returns an error that says so when one is nil.
// A function that is new has to be named here, or fails.
func TestNilIsAnError(t *testing.T) {
	c := etcdtest.Start(t, 1)
	cc := c.Conn(t)
	subjects := services(t, c, cc)
	for name := range exported(t) {
		if others[name] != "" {
			continue
		}
		f := reflect.ValueOf(functions[name])
		if i := strings.LastIndex(name, "."); strings.Count(name, ".") == 2 {
			if subject := subjects[name[:i]]; subject != nil {
				f = reflect.ValueOf(subject).MethodByName(name[i+1:])
			}
		}
		if !f.IsValid() {
			t.Errorf("%s takes a context or options and is not known here: name its type in services, itself in functions, or why not in others", name)
			continue
		}
		typ := f.Type()
		if typ.NumIn() > 0 && typ.In(0) == reflect.TypeFor[context.Context]() {
			check(t, name, "context", call(f, cc, true, false))
		}
		if typ.IsVariadic() {
			check(t, name, "option", call(f, cc, false, true))
		}
	}
	// Its type is not exported.
	for _, m := range []string{"Put", "Get", "Delete", "Txn", "Do"} {
		f := reflect.ValueOf(ordering.NewKV(kv.New(cc))).MethodByName(m)
		check(t, "ordering's "+m, "context", call(f, cc, true, false))
	}
}

// Constructors without an error leave it to the calls.
func TestNilOptionOfAService(t *testing.T) {
	cc := etcdtest.Start(t, 1).Conn(t)
	ctx := t.Context()
	leases := lease.New(cc, nil)
	defer leases.Close()
	for name, do := range map[string]func() error{
		"kv.New": func() error { _, err := kv.New(cc, nil).Get(ctx, "k"); return err },
		"kv.NewStreamer": func() error {
			for _, err := range kv.NewStreamer(cc, nil).Parts(ctx, "k") {
				return err
			}
			return nil
		},
		"auth.New":            func() error { _, err := auth.New(cc, nil).AuthStatus(ctx); return err },
		"cluster.New":         func() error { _, err := cluster.New(cc, nil).MemberList(ctx); return err },
		"election.NewService": func() error { _, err := election.NewService(cc, nil).Leader(ctx, "e"); return err },
		"lease.New":           func() error { _, err := leases.Grant(ctx, 10); return err },
		"lock.NewService":     func() error { _, err := lock.NewService(cc, nil).Unlock(ctx, "k"); return err },
		"ordering.NewKV":      func() error { _, err := ordering.NewKV(kv.New(cc), nil).Get(ctx, "k"); return err },
		"watch.New":           func() error { return firstOf(watch.New(cc, nil).Events(ctx, "k")) },
		"watch.WithCallOptions": func() error {
			return firstOf(watch.New(cc, watch.WithCallOptions(nil)).Events(ctx, "k"))
		},
		"maintenance.New": func() error { _, err := maintenance.New(cc, nil).AlarmList(ctx); return err },
		"maintenance.WithCallOptions": func() error {
			_, err := maintenance.New(cc, maintenance.WithCallOptions(nil)).AlarmList(ctx)
			return err
		},
	} {
		check(t, name, "option", do())
	}
}

func firstOf[T any](events iter.Seq2[T, error]) error {
	for _, err := range events {
		return err
	}
	return nil
}

var errClosedChannel = errors.New("closed, as for a nil context or option")

func check(t *testing.T, name, what string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "nil") {
		t.Errorf("%s with a nil %s: got %v, want an error that says so", name, what, err)
	}
	checkPrefix(t, name, err)
}

// call calls f with harmless arguments, but for the context or an option, which is nil.
func call(f reflect.Value, cc grpc.ClientConnInterface, nilContext, nilOption bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a panic: %v", p)
		}
	}()
	typ := f.Type()
	var in []reflect.Value
	for i := range typ.NumIn() {
		arg := typ.In(i)
		switch {
		case typ.IsVariadic() && i == typ.NumIn()-1:
			if nilOption {
				in = append(in, reflect.Zero(arg.Elem()))
			}
		case arg == reflect.TypeFor[context.Context]() && !nilContext:
			in = append(in, reflect.ValueOf(context.Background()))
		default:
			in = append(in, argument(arg, cc))
		}
	}
	out := f.Call(in)
	if len(out) == 0 {
		return nil
	}
	last := out[len(out)-1]
	switch v := last.Interface().(type) {
	case error:
		return v
	case kv.Txn:
		_, err := v.Then(kv.OpGet("k")).Commit()
		return err
	}
	if last.Kind() == reflect.Func { // an iterator
		for _, e := range last.Seq2() {
			if e.IsNil() {
				return nil
			}
			return e.Interface().(error)
		}
	}
	if last.Kind() == reflect.Chan {
		first, open := last.Recv()
		if !open { // it cannot say why
			return errClosedChannel
		}
		if resp, ok := reflect.TypeAssert[watch.WatchResponse](first); ok {
			return resp.Err()
		}
	}
	return nil
}

func argument(typ reflect.Type, cc grpc.ClientConnInterface) reflect.Value {
	store, watcher := kv.New(cc), watch.New(cc)
	for _, v := range []any{
		cc, "x/1", int64(1), lease.ID(1), uint64(1), uint16(1), kv.OpGet("k"), func(stm.STM) error { return nil },
		recipe.NewClient(store, watcher), store, watcher, lease.New(cc),
		[]string{"http://10.0.0.4:2380"},
		&maintenance.AlarmMember{},
		client.Config{Endpoints: []string{"127.0.0.1:1"}},
		&v3electionpb.LeaderKey{Key: []byte("k"), Lease: 1, Rev: 1},
		[]mvccpb.Event_EventType{mvccpb.Event_PUT},
	} {
		if typ.Kind() != reflect.Interface && reflect.TypeOf(v) == typ || typ.Kind() == reflect.Interface && typ.NumMethod() > 0 && reflect.TypeOf(v).Implements(typ) {
			return reflect.ValueOf(v)
		}
	}
	return reflect.Zero(typ)
}

// exported lists the exported functions, methods and interfaces' methods with a
// context or variadic options, as package.Type.Method.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	root, fset := filepath.Join("..", ".."), token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (leftOut[d.Name()] != "" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			declared(file.Name.Name, d, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 100 {
		t.Errorf("%d functions were found, want more", len(found))
	}
	return found
}

func declared(pkg string, d ast.Decl, found map[string]bool) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := pkg + "." + d.Name.Name
		if d.Recv != nil {
			typ := d.Recv.List[0].Type
			if star, ok := typ.(*ast.StarExpr); ok {
				typ = star.X
			}
			if generic, ok := typ.(*ast.IndexExpr); ok {
				typ = generic.X
			}
			receiver := typ.(*ast.Ident).Name
			if !ast.IsExported(receiver) {
				return // its interface tells
			}
			name = pkg + "." + receiver + "." + d.Name.Name
		}
		if d.Name.IsExported() && nillable(d.Type) {
			found[name] = true
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			typ, ok := spec.(*ast.TypeSpec)
			if !ok || !typ.Name.IsExported() {
				continue
			}
			face, ok := typ.Type.(*ast.InterfaceType)
			if !ok {
				continue
			}
			for _, m := range face.Methods.List {
				if f, ok := m.Type.(*ast.FuncType); ok && len(m.Names) > 0 && nillable(f) {
					found[pkg+"."+typ.Name.Name+"."+m.Names[0].Name] = true
				}
			}
		}
	}
}

func nillable(f *ast.FuncType) bool {
	for _, p := range f.Params.List {
		switch typ := p.Type.(type) {
		case *ast.SelectorExpr:
			if typ.Sel.Name == "Context" {
				return true
			}
		case *ast.Ellipsis:
			name := ""
			switch e := typ.Elt.(type) {
			case *ast.Ident:
				name = e.Name
			case *ast.SelectorExpr:
				name = e.Sel.Name
			}
			if strings.HasSuffix(name, "Option") {
				return true
			}
		}
	}
	return false
}
