// Package swapping checks package cas on a real cluster: no update is lost, and no success and no
// failure is false.
//
// Clients that know nothing of each other count together by Modify, and change one key by Create,
// Replace and Delete, with values that others write too. Answers are lost, and requests without
// one come late. At the end:
//
//   - the counter and its version are the number of increments that were reported;
//   - no two clients were told of the same revision of a key;
//   - the history of the key has each change that was reported, and no other, except for those in
//     doubt.
package swapping
