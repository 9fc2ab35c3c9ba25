package launch

// What the tests of package confine use.
var (
	Attacks      = attacks
	SetUp        = setUp
	CredentialOf = credential
)
