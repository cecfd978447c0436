// Package cas changes keys by compare-and-set, and says what has become of it: a key is created
// if it is absent, replaced or deleted if it is unchanged, or modified by a function.
//
//	s, err := cas.New(c, "cas/host-1/") // c is a client
//	r, err := s.Create(ctx, "leader", "host-1")
//	if err == nil && !r.Done { … r.Kv is the key that was there … }
//
// An answer that is lost leaves no doubt: whether the change was applied is found out, and if it
// was not, it never will be. Then it is tried again. To look at the key is not enough for that.
// Another client may have written the same value, and a copy of the request may still come. So
// each call has a kv.Marker to itself, whose key is changed in the same transaction. A Store has
// as many markers as calls were under way at once, under a prefix that must be this process's own.
// They stay on the cluster, one small key each, and the next process with the prefix goes on with
// them.
//
// So an error of a change means that it was not applied, with one exception: if ctx ends before
// its fate is known, or somebody else has changed the marker meanwhile, client.IsAmbiguous is true
// of the error. Errors are *Error.
package cas
