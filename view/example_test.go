package view_test

import (
	"context"
	"fmt"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/view"
)

// Feature flags are at hand in memory, and stay as they were when somebody writes one that
// makes no sense.
func Example() {
	cluster := etcdtest.NewCluster(1) // in memory
	defer cluster.Close()
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // ends the view
	if _, err := c.Put(ctx, "flags/dark-mode", `{"percent": 10}`); err != nil {
		fmt.Println(err)
		return
	}

	type flag struct{ Percent int }
	told := make(chan struct{})
	flags, err := view.New(ctx, c, "flags/", view.Config[flag]{
		Decode: view.JSON[flag],
		OnChange: func(changes []view.Change[flag]) {
			for _, f := range changes {
				fmt.Println("changed:", f.Key, "from", f.Old.Percent, "to", f.New.Percent)
			}
			told <- struct{}{}
		},
		OnBad: func(err error) { fmt.Println(err) },
	}, kv.WithPrefix())
	if err != nil {
		fmt.Println(err)
		return
	}
	<-told
	if err := flags.WaitSync(ctx); err != nil {
		fmt.Println(err)
		return
	}

	for _, value := range []string{`{"percent": "all"}`, `{"percent": 100}`} {
		if _, err := c.Put(ctx, "flags/dark-mode", value); err != nil {
			fmt.Println(err)
			return
		}
	}
	<-told
	f, ok := flags.Get("flags/dark-mode")
	fmt.Println(f.Percent, ok)
	// Output:
	// changed: flags/dark-mode from 0 to 10
	// view: the value of "flags/dark-mode", of revision 3, is bad: json: cannot unmarshal string into Go struct field flag.Percent of type int
	// changed: flags/dark-mode from 10 to 100
	// 100 true
}
