package launch

// Confined is a process that has confined itself, for the tests of package confine.
var Confined func(dir string) int
