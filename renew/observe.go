package renew

import (
	"path/filepath"

	"keypaird/renew/backoff"
	"keypaird/renew/keypair"
	"keypaird/renew/record"
	"keypaird/renew/renewalinfo"
)

// compareFiles records which files of deployments are as they should be. The deployment
// corrects the others. A deployed pair that is newer than the store's, as after the store
// was restored from a backup, is added to the store, and nothing is ordered. If changed is
// true, the caller must save the record.
func (p *Pass) compareFiles(j *job) (changed bool, err error) {
	for _, d := range j.Deploy {
		name := d.String()
		spec, rec := j.state.Specs[name], j.state.Record.Deployments[name]
		switch {
		case spec.Newer != nil && j.External() == nil && !j.wentBack(rec, spec.Newer):
			return false, p.storeDeployed(j, name, spec)
		case rec.Deployed == "" || rec.Deployed != j.state.Fingerprint || spec.Signature == rec.Signature || spec.Differs != "" && rec.ConfigHash != spec.ConfigHash:
		case spec.Differs != "":
			p.Log.Warn("deployed files differ", "cert", j.Name, "deployment", name, "found", spec.Differs)
		default:
			rec.Signature, changed = spec.Signature, true
			j.state.Record.SetDeployment(name, rec)
		}
	}
	return changed, nil
}

// wentBack reports whether newer, which is deployed, is what the machines that share the
// certificate have left for the one that is stored.
func (j *job) wentBack(rec Deployment, newer *keypair.Pair) bool {
	return j.state.Record.Fleet.Fingerprint == j.state.Fingerprint && rec.Deployed == newer.Fingerprint()
}

// storeDeployed stores the pair that is deployed, which is newer than those in the store.
func (p *Pass) storeDeployed(j *job, deployment string, spec DeploySpec) error {
	if err := p.Store.Tidy(j.Name); err != nil {
		return err
	}
	v, err := p.Store.Add(j.Name, spec.Newer)
	if err != nil {
		return err
	}
	p.Log.Warn("stored the deployed pair, which is newer than the store", "cert", j.Name, "deployment", deployment, "version", v.ID, "not_after", spec.Newer.Leaf.NotAfter.UTC())
	fingerprint, rec := spec.Newer.Fingerprint(), &j.state.Record
	if ca := j.state.issuer(); ca != "" { // it has the same issuer
		rec.Fingerprint, rec.IssuedAt, rec.RenewalInfo = fingerprint, spec.Newer.Leaf.NotBefore.UTC(), renewalinfo.Info{}
	}
	rec.Orders = nil
	d := rec.Deployments[deployment]
	d.Deployed, d.ConfigHash, d.Signature, d.Verified, d.Attempt = fingerprint, spec.ConfigHash, "", "", backoff.Attempt{}
	rec.SetDeployment(deployment, d)
	return p.saveAndLoad(j, "storing what is deployed")
}

// saveAndLoad writes the record of a job after a step, and reads its state again.
func (p *Pass) saveAndLoad(j *job, step string) (err error) {
	p.saveOrWarn(j, step)
	saved := j.state.Record
	j.state, err = LoadStateWith(p.Records, p.Store, j.Target)
	j.state.Record = saved
	return err
}

// load reads the state of a job. It replaces a record that cannot be read, and repairs
// damaged files of the stored pairs.
func (p *Pass) load(j *job) {
	j.state, j.stateErr = LoadStateWith(p.Records, p.Store, j.Target)
	if j.state.recordLost {
		p.replaceRecord(j)
	}
	if len(j.state.damaged) > 0 {
		p.repair(j)
	}
}

// replaceRecord writes an empty record in place of one that cannot be read.
func (p *Pass) replaceRecord(j *job) {
	path := filepath.Join(p.Store.Dir(j.Name), record.File)
	p.Log.Warn("record damaged, starting a new one", "cert", j.Name, "err", path+" cannot be read: backoff and history are lost", "remedy", "none needed")
	p.saveOrWarn(j, "replacing the damaged record")
}

// repair repairs the stored pairs of a job that seem damaged, and reads its state again.
func (p *Pass) repair(j *job) {
	repaired := false
	for _, id := range j.state.damaged {
		err := p.Store.Repair(j.Name, id, func(found []keypair.Damage) {
			if p.Records.ReportDamage(p.Log, j.Name, found, p.now()) {
				repaired = true
				p.beginRepair(j)
			}
		})
		if err != nil && j.stateErr == nil && p.Records.NoteDamage(j.Name+"/"+id, err.Error()) {
			p.Log.Warn("stored files not repaired", "cert", j.Name, "err", err, "remedy", Remedy(err))
		}
	}
	j.state, j.stateErr = LoadStateWith(p.Records, p.Store, j.Target)
	j.state.repaired = repaired
}

// beginRepair records that servers which read the store need a reload.
func (p *Pass) beginRepair(j *job) {
	for _, d := range j.Deploy {
		if len(d.Paths(j.Name)) == 0 {
			j.state.Record.Undeploy(d.String())
		}
	}
	p.saveOrWarn(j, "repairing stored files")
}
