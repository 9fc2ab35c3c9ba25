package renew

import (
	"keypaird/renew/deployer"
	"keypaird/renew/issuer"
	"keypaird/renew/keypair"
	"keypaird/renew/record"
)

// The parts of record.json, see package record.
type (
	Record     = record.Record
	Ordering   = record.Ordering
	Deployment = record.Deployment
	Notified   = record.Notified
	TLSARecord = record.TLSA
	Imported   = record.Imported
	Records    = record.Records
)

// The types of package issuer.
type (
	Issuer             = issuer.Issuer
	RenewalInfoFetcher = issuer.RenewalInfoFetcher
	Order              = issuer.Order
	OrderError         = issuer.OrderError
	Limit              = issuer.Limit
)

// The types of package deployer.
type (
	Deployer   = deployer.Deployer
	DeploySpec = deployer.DeploySpec
	Inspection = deployer.Inspection
	Result     = deployer.Result
	Outcome    = deployer.Outcome
	Change     = deployer.Change
)

// Outcomes.
const (
	RolledBack = deployer.RolledBack
	Installed  = deployer.Installed
	Reloaded   = deployer.Reloaded
	Verified   = deployer.Verified
)

// NextKeyFile holds the key of the certificate after the newest.
const NextKeyFile = record.NextKeyFile

// NameOfExternal stands in place of a CA's name for all external certificates.
const NameOfExternal = record.NameOfExternal

// LoadRecord reads the record of a target. A missing or damaged one is empty.
func LoadRecord(s *keypair.Store, name string) (Record, error) { return record.Load(s, name) }
