BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0011');
CREATE TABLE answers (
	artifact VARCHAR(64) NOT NULL, 
	device VARCHAR(200) NOT NULL, 
	tool_sha256 VARCHAR(64) NOT NULL, 
	interpreter VARCHAR(100) NOT NULL, 
	tool VARCHAR(100) NOT NULL, 
	images INTEGER NOT NULL, 
	largest_difference FLOAT, 
	classes_agree BOOLEAN, 
	message TEXT NOT NULL, 
	checked_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (artifact, device, tool_sha256, interpreter), 
	FOREIGN KEY(artifact) REFERENCES artifacts (sha256)
);
INSERT INTO "answers" VALUES('707a5a6a72025d5e68d25cfa58a824818f0d19540ce1d2bc7821c64c02529985','here','6866d28d44ec66b4dc63a7183b503b39881d59d928c53edff3c5096853a659e4','an interpreter 1.0','python_runner',8,1.0e-06,1,'','2026-11-27T17:28:17.272Z');
CREATE TABLE artifacts (
	sha256 VARCHAR(64) NOT NULL, 
	format VARCHAR(32) NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	operators TEXT NOT NULL, 
	name VARCHAR(200), 
	created_at VARCHAR(32) NOT NULL, binary_macs BIGINT, float_macs BIGINT, signature TEXT, 
	PRIMARY KEY (sha256)
);
INSERT INTO "artifacts" VALUES('5845079ac6ee08d141fee719bb9dd980919d3243340f0fa9267bad21e4e81caf','tflite',160,'{"CONV_2D": 1, "LceBconv2d": 3}',NULL,'2026-11-27T17:28:17.243Z',8832,4096,NULL);
INSERT INTO "artifacts" VALUES('707a5a6a72025d5e68d25cfa58a824818f0d19540ce1d2bc7821c64c02529985','tflite',160,'{"CONV_2D": 1, "LceBconv2d": 3}',NULL,'2026-11-27T17:28:17.254Z',8832,4096,NULL);
CREATE TABLE batches (
	id VARCHAR(16) NOT NULL, 
	device VARCHAR(200) NOT NULL, 
	started_at VARCHAR(32) NOT NULL, 
	ordering VARCHAR(16) NOT NULL, 
	cases INTEGER NOT NULL, 
	waited_s FLOAT DEFAULT '0' NOT NULL, 
	waited_for TEXT DEFAULT '' NOT NULL, 
	idle_power_uw FLOAT, 
	PRIMARY KEY (id)
);
INSERT INTO "batches" VALUES('a batch','here','2026-11-27T17:28:17.270Z','interleaved',1,2.5,'too warm',2000000.0);
CREATE TABLE canaries (
	id INTEGER NOT NULL, 
	batch VARCHAR(16) NOT NULL, 
	device VARCHAR(200) NOT NULL, 
	moment VARCHAR(8) NOT NULL, 
	measured_at VARCHAR(32) NOT NULL, 
	artifact VARCHAR(64) NOT NULL, 
	tool VARCHAR(100) NOT NULL, 
	tool_sha256 VARCHAR(64) NOT NULL, 
	interpreter VARCHAR(100) NOT NULL, 
	cpus VARCHAR(200) NOT NULL, 
	latency_us FLOAT, 
	temperature_c FLOAT, 
	frequency_khz FLOAT, 
	disturbed VARCHAR(200) NOT NULL, 
	message TEXT NOT NULL, 
	stdout_zstd BLOB NOT NULL, 
	stderr_zstd BLOB NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(batch) REFERENCES batches (id)
);
INSERT INTO "canaries" VALUES(1,'a batch','here','before','2026-11-27T17:28:17.271Z','707a5a6a72025d5e68d25cfa58a824818f0d19540ce1d2bc7821c64c02529985','python_runner','6866d28d44ec66b4dc63a7183b503b39881d59d928c53edff3c5096853a659e4','an interpreter 1.0','',99.0,41.5,1800000.0,'','',X'28B52FFD2000010000',X'28B52FFD2000010000');
CREATE TABLE cases (
	id VARCHAR(16) NOT NULL, 
	artifact VARCHAR(64) NOT NULL, 
	device VARCHAR(200) NOT NULL, 
	device_kind VARCHAR(16) NOT NULL, 
	tool VARCHAR(100) NOT NULL, 
	tool_sha256 VARCHAR(64) NOT NULL, 
	interpreter VARCHAR(100) NOT NULL, 
	protocol VARCHAR(32) NOT NULL, 
	protocol_settings TEXT NOT NULL, 
	threads INTEGER NOT NULL, 
	planned_at VARCHAR(32) NOT NULL, cpus VARCHAR(200) DEFAULT '' NOT NULL, inputs TEXT, resized BOOLEAN, 
	PRIMARY KEY (id), 
	FOREIGN KEY(artifact) REFERENCES artifacts (sha256)
);
INSERT INTO "cases" VALUES('b51d8f2e091da3fc','5845079ac6ee08d141fee719bb9dd980919d3243340f0fa9267bad21e4e81caf','here','local','python_runner','6866d28d44ec66b4dc63a7183b503b39881d59d928c53edff3c5096853a659e4','an interpreter 1.0','quick','{"answers": true, "canary": true, "gates": {"max_busy": 0.1, "max_temperature_c": 60.0, "max_wait_s": 5.0, "min_battery": 20, "unplugged": false}, "max_processes": 12, "max_secs": 150.0, "min_secs": 0.2, "name": "quick", "num_runs": 20, "order": "interleaved", "processes": 6, "target": 0.1, "threads": 1, "warmup_min_secs": 0.1, "warmup_runs": 1}',1,'2026-11-27T17:28:17.246Z','',NULL,0);
INSERT INTO "cases" VALUES('441b0331330c3b38','707a5a6a72025d5e68d25cfa58a824818f0d19540ce1d2bc7821c64c02529985','here','local','python_runner','6866d28d44ec66b4dc63a7183b503b39881d59d928c53edff3c5096853a659e4','an interpreter 1.0','quick','{"answers": true, "canary": true, "gates": {"max_busy": 0.1, "max_temperature_c": 60.0, "max_wait_s": 5.0, "min_battery": 20, "unplugged": false}, "max_processes": 12, "max_secs": 150.0, "min_secs": 0.2, "name": "quick", "num_runs": 20, "order": "interleaved", "processes": 6, "target": 0.1, "threads": 1, "warmup_min_secs": 0.1, "warmup_runs": 1}',1,'2026-11-27T17:28:17.255Z','',NULL,0);
INSERT INTO "cases" VALUES('08b7a6c6c1cb7443','707a5a6a72025d5e68d25cfa58a824818f0d19540ce1d2bc7821c64c02529985','shelf','local','python_runner','6866d28d44ec66b4dc63a7183b503b39881d59d928c53edff3c5096853a659e4','an interpreter 1.0','quick','{"answers": true, "canary": true, "gates": {"max_busy": 0.1, "max_temperature_c": 60.0, "max_wait_s": 5.0, "min_battery": 20, "unplugged": false}, "max_processes": 12, "max_secs": 150.0, "min_secs": 0.2, "name": "quick", "num_runs": 20, "order": "interleaved", "processes": 6, "target": 0.1, "threads": 1, "warmup_min_secs": 0.1, "warmup_runs": 1}',1,'2026-11-27T17:28:17.259Z','',NULL,0);
CREATE TABLE devices (
	id VARCHAR(200) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	message TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	seen_at VARCHAR(32), 
	changed_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "devices" VALUES('shelf','local','set aside','No space left.','{}',NULL,'2026-11-27T17:28:17.262Z');
CREATE TABLE epochs (
	trial_id VARCHAR(16) NOT NULL, 
	number INTEGER NOT NULL, 
	loss FLOAT NOT NULL, 
	accuracy FLOAT NOT NULL, 
	validation_loss FLOAT, 
	validation_accuracy FLOAT, 
	seconds FLOAT NOT NULL, 
	PRIMARY KEY (trial_id, number), 
	FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "epochs" VALUES('8208a478d43225b1',1,1.0,0.51,1.1,NULL,0.25);
INSERT INTO "epochs" VALUES('8208a478d43225b1',2,0.5,0.52,0.55,NULL,0.25);
INSERT INTO "epochs" VALUES('8208a478d43225b1',3,3.33333333333333314829e-01,0.53,3.66666666666666696272e-01,NULL,0.25);
INSERT INTO "epochs" VALUES('52dd5baab045825a',1,1.0,0.51,1.1,NULL,0.25);
INSERT INTO "epochs" VALUES('52dd5baab045825a',2,0.5,0.52,0.55,NULL,0.25);
INSERT INTO "epochs" VALUES('52dd5baab045825a',3,3.33333333333333314829e-01,0.53,3.66666666666666696272e-01,NULL,0.25);
CREATE TABLE failures (
	id INTEGER NOT NULL, 
	trial_id VARCHAR(16), 
	case_id VARCHAR(16), 
	reason VARCHAR(32) NOT NULL, 
	message TEXT NOT NULL, 
	log_zstd BLOB NOT NULL, 
	failed_at VARCHAR(32) NOT NULL, device VARCHAR(200), 
	PRIMARY KEY (id), 
	FOREIGN KEY(case_id) REFERENCES cases (id), 
	FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "failures" VALUES(1,'480201ff43062ba1',NULL,'diverged','The loss became nan.',X'28B52FFD20031900006C6F67','2026-11-27T17:28:17.257Z',NULL);
INSERT INTO "failures" VALUES(2,NULL,'08b7a6c6c1cb7443','timeout','It took too long.',X'28B52FFD20031900006C6F67','2026-11-27T17:28:17.259Z',NULL);
INSERT INTO "failures" VALUES(3,NULL,NULL,'no_space','No space left.',X'28B52FFD2000010000','2026-11-27T17:28:17.264Z','shelf');
CREATE TABLE forms (
	id VARCHAR(16) NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	parameters TEXT NOT NULL, 
	precision VARCHAR(16), 
	input_shape TEXT, 
	classes INTEGER, 
	converter VARCHAR(100) NOT NULL, 
	artifact VARCHAR(64), 
	reason VARCHAR(32), 
	message TEXT, 
	built_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(artifact) REFERENCES artifacts (sha256)
);
INSERT INTO "forms" VALUES('5d7543c6c75da8ac','mlp','{"layers": 3, "units": 64}','binary','[8, 8, 1]',10,'larq-compute-engine 0.16.0',NULL,'conversion','LCE can''t convert it.','2026-11-27T17:28:17.277Z');
CREATE TABLE identity (
	id VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "identity" VALUES('199ec9ae03604f22974bb2b5e95c6bf0');
CREATE TABLE jobs (
	id VARCHAR(64) NOT NULL, 
	sweep VARCHAR(200) NOT NULL, 
	file TEXT NOT NULL, 
	node VARCHAR(200) NOT NULL, 
	server VARCHAR(200) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	message TEXT NOT NULL, 
	submitted_at VARCHAR(32) NOT NULL, 
	ended_at VARCHAR(32), 
	PRIMARY KEY (id)
);
CREATE TABLE kernels (
	device VARCHAR(200) NOT NULL, 
	tool_sha256 VARCHAR(64) NOT NULL, 
	interpreter VARCHAR(100) NOT NULL, 
	tool VARCHAR(100) NOT NULL, 
	ratio FLOAT, 
	ratio_low FLOAT, 
	ratio_high FLOAT, 
	verdict VARCHAR(16) NOT NULL, 
	message TEXT NOT NULL, 
	checked_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (device, tool_sha256, interpreter)
);
INSERT INTO "kernels" VALUES('here','6866d28d44ec66b4dc63a7183b503b39881d59d928c53edff3c5096853a659e4','an interpreter 1.0','python_runner',7.5,7.0,8.0,'optimised','','2026-11-27T17:28:17.274Z');
CREATE TABLE leases (
	number INTEGER NOT NULL, 
	device VARCHAR(200) NOT NULL, 
	token VARCHAR(32) NOT NULL, 
	owner VARCHAR(200) NOT NULL, 
	process VARCHAR(200) NOT NULL, 
	expires FLOAT NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "leases" VALUES(1,'shelf','a token','root@vm (process 30709)','1c4e154d-7109-4e8e-a061-9f39cfbd86fa pid:[4026531836] 30709 297611',1.79580061726647162434e+09);
CREATE TABLE measurements (
	id INTEGER NOT NULL, 
	case_id VARCHAR(16) NOT NULL, 
	measured_at VARCHAR(32) NOT NULL, 
	valid BOOLEAN DEFAULT 1 NOT NULL, 
	artifact_run VARCHAR(64) NOT NULL, 
	latency_us FLOAT NOT NULL, 
	latency_low_us FLOAT, 
	latency_high_us FLOAT, 
	runs INTEGER NOT NULL, 
	peak_memory_bytes BIGINT, 
	energy_uj FLOAT, 
	quality TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	harness_version VARCHAR(32) NOT NULL, disturbed_runs INTEGER DEFAULT '0' NOT NULL, temperature_c FLOAT, frequency_khz FLOAT, energy_low_uj FLOAT, energy_high_uj FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(case_id) REFERENCES cases (id)
);
INSERT INTO "measurements" VALUES(1,'b51d8f2e091da3fc','2026-11-27T17:28:17.245Z',1,'5845079ac6ee08d141fee719bb9dd980919d3243340f0fa9267bad21e4e81caf',100.0,99.0,101.0,2,5000000,NULL,'ok','{"machine": "x86_64"}','0.1.0',0,NULL,NULL,NULL,NULL);
INSERT INTO "measurements" VALUES(2,'441b0331330c3b38','2026-11-27T17:28:17.255Z',1,'707a5a6a72025d5e68d25cfa58a824818f0d19540ce1d2bc7821c64c02529985',400.0,399.0,401.0,2,5000000,NULL,'ok','{"machine": "x86_64"}','0.1.0',0,NULL,NULL,NULL,NULL);
CREATE TABLE operators (
	case_id VARCHAR(16) NOT NULL, 
	profiled_at VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	type VARCHAR(200) NOT NULL, 
	name TEXT NOT NULL, 
	role VARCHAR(32) NOT NULL, 
	avg_us FLOAT NOT NULL, 
	share FLOAT NOT NULL, 
	calls INTEGER NOT NULL, 
	PRIMARY KEY (case_id, profiled_at, number), 
	FOREIGN KEY(case_id) REFERENCES cases (id)
);
INSERT INTO "operators" VALUES('441b0331330c3b38','2026-11-27T17:28:17.275Z',0,'LceBconv2d','conv_1','binary convolution',60.0,0.6,1);
CREATE TABLE pending_runs (
	case_id VARCHAR(16) NOT NULL, 
	number INTEGER NOT NULL, 
	started_at VARCHAR(32) NOT NULL, 
	seconds FLOAT NOT NULL, 
	exit_code INTEGER NOT NULL, 
	artifact_sha256 VARCHAR(64) NOT NULL, 
	stdout_zstd BLOB NOT NULL, 
	stderr_zstd BLOB NOT NULL, batch VARCHAR(16), block INTEGER, position INTEGER, watch_zstd BLOB, 
	PRIMARY KEY (case_id, number), 
	FOREIGN KEY(case_id) REFERENCES cases (id)
);
INSERT INTO "pending_runs" VALUES('08b7a6c6c1cb7443',1,'2026-11-27T17:28:17.260Z',0.5,0,'707a5a6a72025d5e68d25cfa58a824818f0d19540ce1d2bc7821c64c02529985',X'28B52FFD200739000067617262616765',X'28B52FFD2000010000',NULL,NULL,NULL,NULL);
CREATE TABLE published (
	id INTEGER NOT NULL, 
	model VARCHAR(200) NOT NULL, 
	precision VARCHAR(16) NOT NULL, 
	device VARCHAR(200) NOT NULL, 
	threads INTEGER NOT NULL, 
	latency_us FLOAT NOT NULL, 
	accuracy FLOAT, 
	size_bytes BIGINT, 
	source VARCHAR(500) NOT NULL, 
	dated VARCHAR(32) NOT NULL, 
	imported_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (model, precision, device, threads, source, dated)
);
CREATE TABLE queue (
	device VARCHAR(200) NOT NULL, 
	artifact VARCHAR(64) NOT NULL, 
	protocol_id VARCHAR(16) NOT NULL, 
	protocol VARCHAR(32) NOT NULL, 
	threads INTEGER NOT NULL, 
	asked_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (device, artifact, protocol_id), 
	FOREIGN KEY(artifact) REFERENCES artifacts (sha256)
);
INSERT INTO "queue" VALUES('shelf','707a5a6a72025d5e68d25cfa58a824818f0d19540ce1d2bc7821c64c02529985','b95a028cc0b7145d','quick',1,'2026-11-27T17:28:17.265Z');
CREATE TABLE runs (
	id INTEGER NOT NULL, 
	measurement_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	started_at VARCHAR(32) NOT NULL, 
	seconds FLOAT NOT NULL, 
	exit_code INTEGER NOT NULL, 
	count INTEGER NOT NULL, 
	first_us FLOAT NOT NULL, 
	min_us FLOAT NOT NULL, 
	max_us FLOAT NOT NULL, 
	avg_us FLOAT NOT NULL, 
	std_us FLOAT, 
	init_us FLOAT, 
	warmup_avg_us FLOAT, 
	peak_memory_bytes BIGINT, 
	stdout_zstd BLOB NOT NULL, 
	stderr_zstd BLOB NOT NULL, temperature_c FLOAT, batch VARCHAR(16), block INTEGER, position INTEGER, p5_us FLOAT, median_us FLOAT, p95_us FLOAT, frequency_khz FLOAT, busy FLOAT, power_uw FLOAT, resident_memory_bytes BIGINT, throttled BOOLEAN, watch_zstd BLOB, disturbed VARCHAR(200) DEFAULT '' NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(measurement_id) REFERENCES measurements (id)
);
INSERT INTO "runs" VALUES(1,1,1,'2026-11-27T17:28:17.245Z',0.75,0,20,103.0,98.0,105.0,100.0,1.5,321.0,150.0,4000001,X'28B52FFD2015A900007374646F7574206F662072756E20313A20C2B5730A',X'28B52FFD2000010000',41.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'');
INSERT INTO "runs" VALUES(2,1,2,'2026-11-27T17:28:17.245Z',0.75,0,20,103.0,98.0,105.0,100.0,1.5,321.0,150.0,4000002,X'28B52FFD2015A900007374646F7574206F662072756E20323A20C2B5730A',X'28B52FFD2000010000',41.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'');
INSERT INTO "runs" VALUES(3,2,1,'2026-11-27T17:28:17.255Z',0.75,0,20,403.0,398.0,405.0,400.0,1.5,321.0,150.0,4000001,X'28B52FFD2015A900007374646F7574206F662072756E20313A20C2B5730A',X'28B52FFD2000010000',41.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'');
INSERT INTO "runs" VALUES(4,2,2,'2026-11-27T17:28:17.255Z',0.75,0,20,403.0,398.0,405.0,400.0,1.5,321.0,150.0,4000002,X'28B52FFD2015A900007374646F7574206F662072756E20323A20C2B5730A',X'28B52FFD2000010000',41.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'');
CREATE TABLE search_metrics (
	sweep VARCHAR(200) NOT NULL, 
	number INTEGER NOT NULL, 
	device VARCHAR(200) NOT NULL, 
	name TEXT NOT NULL, 
	metric VARCHAR(16) NOT NULL, 
	place VARCHAR(200), 
	threads INTEGER, 
	at_most FLOAT, 
	PRIMARY KEY (sweep, number, device), 
	FOREIGN KEY(sweep) REFERENCES searches (sweep)
);
INSERT INTO "search_metrics" VALUES('study',0,'','accuracy','accuracy',NULL,NULL,NULL);
INSERT INTO "search_metrics" VALUES('study',1,'','size','size',NULL,NULL,NULL);
CREATE TABLE searches (
	sweep VARCHAR(200) NOT NULL, 
	method VARCHAR(16) NOT NULL, 
	trials INTEGER, 
	space TEXT, 
	submitted_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (sweep)
);
INSERT INTO "searches" VALUES('study','optuna',3,'{"units": [64]}','2026-11-27T17:28:17.279Z');
CREATE TABLE sweep_trials (
	sweep VARCHAR(200) NOT NULL, 
	trial_id VARCHAR(16) NOT NULL, 
	submitted_at VARCHAR(32) NOT NULL, point TEXT, 
	PRIMARY KEY (sweep, trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "sweep_trials" VALUES('study','8208a478d43225b1','2026-11-27T17:28:17.232Z',NULL);
INSERT INTO "sweep_trials" VALUES('study','52dd5baab045825a','2026-11-27T17:28:17.252Z',NULL);
INSERT INTO "sweep_trials" VALUES('study','480201ff43062ba1','2026-11-27T17:28:17.256Z',NULL);
CREATE TABLE trial_artifacts (
	trial_id VARCHAR(16) NOT NULL, 
	artifact VARCHAR(64) NOT NULL, 
	accuracy FLOAT NOT NULL, 
	agreement FLOAT NOT NULL, 
	created_at VARCHAR(32) NOT NULL, correct_zstd BLOB, 
	PRIMARY KEY (trial_id, artifact), 
	FOREIGN KEY(artifact) REFERENCES artifacts (sha256), 
	FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "trial_artifacts" VALUES('8208a478d43225b1','5845079ac6ee08d141fee719bb9dd980919d3243340f0fa9267bad21e4e81caf',0.9,1.0,'2026-11-27T17:28:17.244Z',NULL);
INSERT INTO "trial_artifacts" VALUES('52dd5baab045825a','707a5a6a72025d5e68d25cfa58a824818f0d19540ce1d2bc7821c64c02529985',0.9,1.0,'2026-11-27T17:28:17.254Z',NULL);
CREATE TABLE trials (
	id VARCHAR(16) NOT NULL, 
	twin VARCHAR(16) NOT NULL, 
	sweep VARCHAR(200) NOT NULL, 
	model VARCHAR(100) NOT NULL, 
	parameters TEXT NOT NULL, 
	precision VARCHAR(16) NOT NULL, 
	dataset VARCHAR(100) NOT NULL, 
	recipe TEXT NOT NULL, 
	seed BIGINT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	reason VARCHAR(32), 
	message TEXT, 
	accuracy FLOAT, 
	params BIGINT, 
	node VARCHAR(200), 
	versions TEXT, 
	waiting_s FLOAT, 
	import_s FLOAT, 
	data_s FLOAT, 
	fit_s FLOAT, 
	convert_s FLOAT, 
	evaluate_s FLOAT, 
	submitted_at VARCHAR(32) NOT NULL, 
	finished_at VARCHAR(32), processors TEXT, quality TEXT, form VARCHAR(16), 
	PRIMARY KEY (id)
);
INSERT INTO "trials" VALUES('8208a478d43225b1','9adc48f0c1eaf9ad','study','mlp','{"layers": 3, "units": 64}','binary','digits','{"augmentation": "none", "batch_size": 100, "bop": {"gamma": 0.0001, "threshold": 1e-08}, "distillation": null, "early_stopping": null, "epochs": 3, "initializer": "glorot_uniform", "input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "learning_rate": 0.001, "loss": "softmax_cross_entropy", "momentum": 0.0, "optimizer": "adam", "validation": 0.1}',0,'done',NULL,NULL,0.91,12938,'node-1','{"tensorflow": "2.21.0"}',1.0,2.0,3.0,4.0,5.0,6.0,'2026-11-27T17:28:17.232Z','2026-11-27T17:28:17.234Z','CPU','ok',NULL);
INSERT INTO "trials" VALUES('52dd5baab045825a','9adc48f0c1eaf9ad','study','mlp','{"layers": 3, "units": 64}','float32','digits','{"augmentation": "none", "batch_size": 100, "bop": {"gamma": 0.0001, "threshold": 1e-08}, "distillation": null, "early_stopping": null, "epochs": 3, "initializer": "glorot_uniform", "input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "learning_rate": 0.001, "loss": "softmax_cross_entropy", "momentum": 0.0, "optimizer": "adam", "validation": 0.1}',0,'done',NULL,NULL,0.91,12938,'node-1','{"tensorflow": "2.21.0"}',1.0,2.0,3.0,4.0,5.0,6.0,'2026-11-27T17:28:17.252Z','2026-11-27T17:28:17.252Z','CPU','ok',NULL);
INSERT INTO "trials" VALUES('480201ff43062ba1','9d3a77cec7767c96','study','mlp','{"layers": 3, "units": 64}','binary','digits','{"augmentation": "none", "batch_size": 100, "bop": {"gamma": 0.0001, "threshold": 1e-08}, "distillation": null, "early_stopping": null, "epochs": 3, "initializer": "glorot_uniform", "input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "learning_rate": 0.001, "loss": "softmax_cross_entropy", "momentum": 0.0, "optimizer": "adam", "validation": 0.1}',7,'failed','diverged','The loss became nan.',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-27T17:28:17.256Z','2026-11-27T17:28:17.257Z',NULL,NULL,'5d7543c6c75da8ac');
CREATE INDEX ix_trials_sweep ON trials (sweep);
CREATE INDEX ix_trials_twin ON trials (twin);
CREATE INDEX ix_cases_device ON cases (device);
CREATE INDEX ix_trial_artifacts_artifact ON trial_artifacts (artifact);
CREATE INDEX ix_failures_case_id ON failures (case_id);
CREATE INDEX ix_failures_trial_id ON failures (trial_id);
CREATE INDEX ix_leases_device ON leases (device);
CREATE INDEX ix_failures_device ON failures (device);
CREATE INDEX ix_batches_device ON batches (device);
CREATE INDEX ix_canaries_batch ON canaries (batch);
CREATE INDEX ix_canaries_device ON canaries (device);
CREATE INDEX ix_jobs_sweep ON jobs (sweep);
CREATE INDEX ix_sweep_trials_trial_id ON sweep_trials (trial_id);
CREATE INDEX ix_measurements_newest ON measurements (case_id, valid, measured_at, id);
CREATE INDEX ix_cases_place ON cases (artifact, device);
CREATE INDEX ix_runs_spread ON runs (measurement_id, disturbed, avg_us);
CREATE INDEX ix_measurements_measured_at ON measurements (measured_at);
CREATE INDEX ix_forms_artifact ON forms (artifact);
CREATE INDEX ix_trials_form ON trials (form);
COMMIT;
