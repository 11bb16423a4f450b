"""The views of the catalogue: each a description and its SQL over the schema `raw`.

`raw` has one view per table of the pipeline, all videos together, with a first column `video_id`.
A rider's place in its video, called `person_id` in the tables of one video, is `rider` here;
`person_id` is the person of the library.
"""

from __future__ import annotations

from typing import Final

VIDEOS: Final = """
WITH ids AS (SELECT video_id FROM raw.registry UNION SELECT video_id FROM raw.ride_video),
frames AS (SELECT video_id, count(*) AS frames, sum(face_count) AS faces
           FROM raw.frames GROUP BY video_id),
riders AS (SELECT video_id, count(DISTINCT person_id) AS riders FROM raw.riders GROUP BY video_id),
files AS (SELECT video_id, count(*) FILTER (type NOT IN ('metadata', 'left_out')) AS images
          FROM raw.identity_dataset GROUP BY video_id)
SELECT video_id, coalesce(g.path, v.path) AS path, coalesce(g.sha256, v.sha256) AS sha256,
    v.* EXCLUDE (video_id, path, sha256),
    frames.frames, frames.faces::BIGINT AS faces, riders.riders, files.images,
    f.code AS failure, f.sentence AS failure_sentence
FROM ids LEFT JOIN raw.registry g USING (video_id) LEFT JOIN raw.ride_video v USING (video_id)
    LEFT JOIN frames USING (video_id) LEFT JOIN riders USING (video_id)
    LEFT JOIN files USING (video_id) LEFT JOIN raw.failures f USING (video_id)
"""

FACES: Final = """
WITH embedded AS (
    SELECT video_id, face_id, space FROM raw.face_embeddings
    UNION ALL SELECT video_id, face_id, space FROM raw.moment_embeddings)
SELECT d.video_id, d.face_id, d.frame_idx, d.timestamp_ms, d.x1, d.y1, d.x2, d.y2, d.score,
    t.track_id, t.tracklet_id, t.track_cos, r.person_id AS rider, r.reason AS track_reason,
    q.* EXCLUDE (video_id, face_id, frame_idx, score, occlusion, relative_sharpness),
    coalesce(b.yaw, l.yaw) AS yaw, coalesce(b.pitch, l.pitch) AS pitch, l.roll,
    l.yaw AS yaw_camera, l.pitch AS pitch_camera, l.pose_source,
    l.eye_open, l.mouth_open, l.smile, l.occlusion,
    l.relative_sharpness,
    s.stable_score, s.rival_score, s.margin, s.stable, s.is_prototype,
    b.yaw_bin, b.pitch_bin, b.expression_bin, b.occlusion_bin, b.lighting_bin, b.bucket_key,
    e.space AS e_id_space, g.state, g.reason, g.would_change,
    a.person_id, a.display
FROM raw.face_detections d
    LEFT JOIN raw.face_tracks t USING (video_id, face_id)
    LEFT JOIN raw.face_quality q USING (video_id, face_id)
    LEFT JOIN raw.face_landmarks l USING (video_id, face_id)
    LEFT JOIN raw.identity_stability s USING (video_id, face_id)
    LEFT JOIN raw.face_buckets b USING (video_id, face_id)
    LEFT JOIN embedded e USING (video_id, face_id)
    LEFT JOIN raw.frame_ledger g USING (video_id, face_id)
    LEFT JOIN raw.riders r ON r.video_id = d.video_id AND r.track_id = t.track_id
    LEFT JOIN raw.person_assignments a ON a.video_id = d.video_id AND a.track_id = t.track_id
"""

TRACKS: Final = """
SELECT r.* RENAME (person_id AS rider),
    'track:' || r.video_id || ':' || r.track_id AS track_key,
    t.face_count AS template_faces, t.quality, t.spread, t.first_frame, t.last_frame,
    t.best_face_id, t.best_frame, t.space,
    a.state, a.person_id, a.cluster_id, a.display, a.origin, a.score, a.margin, a.rule
FROM raw.riders r LEFT JOIN raw.track_templates t USING (video_id, track_id)
    LEFT JOIN raw.person_assignments a USING (video_id, track_id)
"""

IMAGES: Final = """
WITH embedded AS (
    SELECT video_id, face_id, space FROM raw.face_embeddings
    UNION ALL SELECT video_id, face_id, space FROM raw.moment_embeddings),
sets AS (
    SELECT 'anchor' AS set, * FROM raw.anchor_set
    UNION ALL BY NAME SELECT 'coverage' AS set, * FROM raw.coverage_set
    UNION ALL BY NAME SELECT 'challenge' AS set, * FROM raw.challenge_set
    UNION ALL BY NAME SELECT 'pair' AS set, * FROM raw.pair_set),
shown AS (
    SELECT s.* EXCLUDE (face_id), f.file, f.sha256, f.size_bytes, f.stands_for,
        CASE WHEN f.stands_for IS NULL THEN s.face_id ELSE f.face_id END AS face_id,
        f.stable_score AS own_score, f.crop_x1 AS x1, f.crop_y1 AS y1, f.crop_x2 AS x2,
        f.crop_y2 AS y2
    FROM sets s JOIN raw.identity_dataset f ON f.video_id = s.video_id AND f.type = s.set
        AND ends_with(f.file, '/' || s.image || '.jpg')
        AND (s.set = 'pair' OR f.person_id = s.person_id))
SELECT s.video_id, s.file, s.set, s.rank, s.face_id,
    CASE WHEN s.stands_for IS NULL THEN s.frame_idx ELSE c.frame_idx END AS frame_idx,
    CASE WHEN s.stands_for IS NULL THEN s.timestamp_ms ELSE c.timestamp_ms END AS timestamp_ms,
    s.person_id AS rider, t.track_id, a.person_id, a.display, s.kind,
    CASE WHEN s.stands_for IS NULL THEN s.quality_score ELSE c.quality_score END AS quality_score,
    CASE WHEN s.stands_for IS NULL THEN s.novelty END AS novelty,
    coalesce(s.own_score, s.stable_score) AS stable_score, s.stands_for,
    coalesce(s.x1, s.crop_x1) AS crop_x1, coalesce(s.y1, s.crop_y1) AS crop_y1,
    coalesce(s.x2, s.crop_x2) AS crop_x2, coalesce(s.y2, s.crop_y2) AS crop_y2,
    coalesce(b.yaw, l.yaw) AS yaw, coalesce(b.pitch, l.pitch) AS pitch, l.roll,
    l.yaw AS yaw_camera, l.pitch AS pitch_camera,
    b.yaw_bin, b.pitch_bin, b.expression_bin, b.occlusion_bin, b.lighting_bin, b.bucket_key,
    e.space AS e_id_space, v.space AS e_vis_space,
    coalesce(v.body_space, v.space) AS e_vis_body_space, s.sha256, s.size_bytes
FROM shown s
    LEFT JOIN raw.candidates c ON c.video_id = s.video_id AND c.face_id = s.face_id
    LEFT JOIN raw.face_tracks t ON t.video_id = s.video_id AND t.face_id = s.face_id
    LEFT JOIN raw.face_landmarks l ON l.video_id = s.video_id AND l.face_id = s.face_id
    LEFT JOIN raw.face_buckets b ON b.video_id = s.video_id AND b.face_id = s.face_id
    LEFT JOIN embedded e ON e.video_id = s.video_id AND e.face_id = s.face_id
    LEFT JOIN raw.vision_embeddings v ON v.video_id = s.video_id AND v.face_id = s.face_id
    LEFT JOIN raw.person_assignments a ON a.video_id = s.video_id AND a.track_id = t.track_id
"""

PHOTOS: Final = """
SELECT p.video_id AS photo_set, p.frame_idx AS number, p.name,
    coalesce(f.status, p.status) AS status,
    coalesce(f.sentence, p.sentence) AS sentence, f.face_id, f.face_count, f.face_px, f.fit,
    p.format, p.width, p.height, p.taken_at, p.sha256, a.person_id, a.display
FROM raw.photo_set p LEFT JOIN raw.photo_faces f USING (video_id, frame_idx)
    LEFT JOIN raw.face_tracks t ON t.video_id = p.video_id AND t.face_id = f.face_id
    LEFT JOIN raw.person_assignments a ON a.video_id = p.video_id AND a.track_id = t.track_id
"""

PHASES: Final = """
SELECT p.*, c.camera, c.edition, c.state
FROM raw.ride_phases p JOIN raw.ride_course c USING (video_id)
"""

ASSIGNMENTS: Final = """
SELECT a.*, p.name FROM raw.person_assignments a LEFT JOIN raw.people p USING (person_id)
"""

SUGGESTIONS: Final = """
SELECT s.*, p.name FROM raw.suggestions s LEFT JOIN raw.people p USING (person_id)
"""

VIEWS: Final[dict[str, tuple[str, str]]] = {
    "videos": ("every registered video, what it holds, why it failed", VIDEOS),
    "frames": ("every sampled frame", "SELECT * FROM raw.frames"),
    "phases": ("where on the ride of its camera every sampled frame is", PHASES),
    "faces": ("every detected face with all its measures", FACES),
    "tracks": ("every face track, rider or not, and whose it is", TRACKS),
    "images": ("every exported image; a pair image has a row for each rider", IMAGES),
    "photos": ("every photograph that was taken in, and which face of it is used", PHOTOS),
    "people": ("the people of the library", "SELECT * FROM raw.people"),
    "assignments": ("who each track is, and why", ASSIGNMENTS),
    "copies": ("videos that are copies of another one's ride", "SELECT * FROM raw.video_copies"),
    "clusters": ("unknown people, grouped", "SELECT * FROM raw.unknown_clusters"),
    "suggestions": ("what a person is asked to confirm", SUGGESTIONS),
    "events": ("the ledger: every human decision", "SELECT * FROM raw.events"),
    "runs": ("every output: what made it, when it was written", "SELECT * FROM raw.runs"),
}
