// Package etcdtest starts etcd for tests: one member or several on loopback addresses,
// with TLS, client certificates, and if asked for users with the rights of a fleet.
//
//	c := etcdtest.Start(t, etcdtest.Options{Members: 3, Users: true})
//	settings := c.Settings("mx1")
//
// It needs Debian's etcd-server and etcd-client; without them the test is skipped. With
// KEYPAIRD_TEST_ETCD=DIR it takes the programs of another etcd in that directory. Members
// end with the test, by their process numbers, even if the test is killed.
package etcdtest
