-- A ledger as the first release wrote it: its tables, and a few publishes of which one marked a reader.
CREATE TABLE lakeline_asset (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    snapshot_id BIGINT,
    build_id BIGINT,
    PRIMARY KEY (id),
    UNIQUE (name)
);
INSERT INTO "lakeline_asset" VALUES(1,'flights/departures',2,7);
INSERT INTO "lakeline_asset" VALUES(2,'flights/planes',1,4);
INSERT INTO "lakeline_asset" VALUES(3,'flights/departures_clean',1,6);
CREATE TABLE lakeline_batch (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    asset_id BIGINT NOT NULL,
    status SMALLINT NOT NULL,
    builds INTEGER NOT NULL,
    started_us BIGINT NOT NULL,
    ended_us BIGINT,
    snapshot_id BIGINT,
    cpu_s DOUBLE PRECISION NOT NULL,
    gpu_s DOUBLE PRECISION NOT NULL,
    peak_rss_bytes BIGINT NOT NULL,
    placement TEXT,
    PRIMARY KEY (id),
    UNIQUE (name)
);
INSERT INTO "lakeline_batch" VALUES(1,'batch-1',1,1,3,1359698400000000,1359698408000000,1,4.0,0.0,1000,'in_process');
INSERT INTO "lakeline_batch" VALUES(2,'batch-2',2,1,1,1359698400000000,1359698408000000,1,4.0,0.0,1000,'in_process');
INSERT INTO "lakeline_batch" VALUES(3,'batch-3',3,1,2,1359698400000000,1359698408000000,1,4.0,0.0,1000,'in_process');
INSERT INTO "lakeline_batch" VALUES(4,'batch-4',1,1,1,1359698400000000,1359698408000000,2,4.0,0.0,1000,'in_process');
INSERT INTO "lakeline_batch" VALUES(5,'open',3,0,1,1359698400000000,NULL,NULL,0.0,0.0,0,NULL);
CREATE TABLE lakeline_build (
    id INTEGER NOT NULL,
    batch_id BIGINT NOT NULL,
    asset_id BIGINT NOT NULL,
    part_id BIGINT NOT NULL,
    version TEXT NOT NULL,
    watermark_us BIGINT,
    code_id BIGINT NOT NULL,
    run_id BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (id)
);
INSERT INTO "lakeline_build" VALUES(1,1,1,3,'r1',1357257600000000,4,5,9,90);
INSERT INTO "lakeline_build" VALUES(2,1,1,2,'r1',1357171200000000,4,5,9,90);
INSERT INTO "lakeline_build" VALUES(3,1,1,1,'r1',1357084800000000,4,5,9,90);
INSERT INTO "lakeline_build" VALUES(4,2,2,6,'p1',NULL,6,6,0,0);
INSERT INTO "lakeline_build" VALUES(5,3,3,1,'c1',1357084800000000,6,6,0,0);
INSERT INTO "lakeline_build" VALUES(6,3,3,2,'c1',1357171200000000,6,6,0,0);
INSERT INTO "lakeline_build" VALUES(7,4,1,2,'r2',1357171200000000,6,6,0,0);
INSERT INTO "lakeline_build" VALUES(8,5,3,3,'c1',NULL,6,6,0,0);
CREATE TABLE lakeline_current (
    asset_id BIGINT NOT NULL,
    part_id BIGINT NOT NULL,
    build_id BIGINT NOT NULL,
    version TEXT NOT NULL,
    snapshot_id BIGINT,
    because_asset_id BIGINT,
    because_part_id BIGINT,
    PRIMARY KEY (asset_id, part_id)
) WITHOUT ROWID;
INSERT INTO "lakeline_current" VALUES(1,1,3,'r1',1,NULL,NULL);
INSERT INTO "lakeline_current" VALUES(1,2,7,'r2',2,NULL,NULL);
INSERT INTO "lakeline_current" VALUES(2,6,4,'p1',1,NULL,NULL);
INSERT INTO "lakeline_current" VALUES(3,1,5,'c1',1,NULL,NULL);
INSERT INTO "lakeline_current" VALUES(3,2,6,'c1',1,1,2);
CREATE TABLE lakeline_input (
    build_id BIGINT NOT NULL,
    asset_id BIGINT NOT NULL,
    part_id BIGINT NOT NULL,
    version TEXT NOT NULL,
    snapshot_id BIGINT,
    columns_id BIGINT NOT NULL,
    PRIMARY KEY (build_id, asset_id, part_id, version)
) WITHOUT ROWID;
INSERT INTO "lakeline_input" VALUES(5,1,1,'r1',7,7);
INSERT INTO "lakeline_input" VALUES(5,2,6,'p1',7,7);
INSERT INTO "lakeline_input" VALUES(6,1,2,'r1',7,7);
INSERT INTO "lakeline_input" VALUES(6,2,6,'p1',7,7);
CREATE TABLE lakeline_ledger (schema_version INTEGER NOT NULL);
INSERT INTO "lakeline_ledger" VALUES(1);
CREATE TABLE lakeline_word (
    id INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (text)
);
INSERT INTO "lakeline_word" VALUES(1,'2013-01-01');
INSERT INTO "lakeline_word" VALUES(2,'2013-01-02');
INSERT INTO "lakeline_word" VALUES(3,'2013-01-03');
INSERT INTO "lakeline_word" VALUES(4,'c');
INSERT INTO "lakeline_word" VALUES(5,'run-1');
INSERT INTO "lakeline_word" VALUES(6,'');
INSERT INTO "lakeline_word" VALUES(7,'["dep_delay_min"]');
CREATE INDEX lakeline_batch_by_asset ON lakeline_batch (asset_id, status);
CREATE INDEX lakeline_build_by_part ON lakeline_build (asset_id, part_id);
CREATE INDEX lakeline_build_by_batch ON lakeline_build (batch_id);
CREATE INDEX lakeline_input_by_source ON lakeline_input (asset_id, part_id, build_id, version);
CREATE UNIQUE INDEX lakeline_current_by_build ON lakeline_current (build_id);
CREATE INDEX lakeline_current_marked ON lakeline_current (because_asset_id, because_part_id) WHERE because_asset_id IS NOT NULL;
