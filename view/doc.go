// Package view keeps the present values of a range of keys at hand, decoded, in memory.
//
//	flags, err := view.New(ctx, c, "flags/", view.Config[Flag]{Decode: view.JSON[Flag]}, kv.WithPrefix())
//	err = flags.WaitSync(ctx)
//	f, ok := flags.Get("flags/dark-mode")
//
// A [View] follows the keys with Follow (package watch): it begins with a snapshot, and
// then applies every change, exactly once and in order, whatever happens to members and
// connections. When changes were lost to compaction or a restore, it takes another
// snapshot, and tells the differences.
//
// # Bad values
//
// A value that cannot be decoded does not replace the last good one: Get returns that on,
// until a good value comes or the key is deleted. Config.OnBad is told of it, and Bad lists
// the keys that are in this state. A key that never had a good value is not in the view.
//
// # Indexes
//
// Config.Indexes finds keys by what their values say, without looking at all of them:
//
//	Indexes: map[string]func(string, Instance) []string{
//		"zone": func(_ string, i Instance) []string { return []string{i.Zone} },
//	}
//	here, err := instances.ByIndex("zone", "b")
//
// What is found is of one revision. A key whose value is bad is found by its last good one.
//
// # What a view does not do
//
// It cannot say that it is up to date. While no member can be reached it stands still, and
// its values are those of Revision. A program that must not act on an old value writes by
// a transaction that compares.
package view
