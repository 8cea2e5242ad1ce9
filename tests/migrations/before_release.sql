BEGIN TRANSACTION;
CREATE TABLE "auth_group" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(150) NOT NULL UNIQUE);
CREATE TABLE "auth_group_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED, "permission_id" integer NOT NULL REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "auth_permission" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "content_type_id" integer NOT NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "codename" varchar(100) NOT NULL, "name" varchar(255) NOT NULL);
CREATE TABLE "auth_user" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "password" varchar(128) NOT NULL, "last_login" datetime NULL, "is_superuser" bool NOT NULL, "username" varchar(150) NOT NULL UNIQUE, "last_name" varchar(150) NOT NULL, "email" varchar(254) NOT NULL, "is_staff" bool NOT NULL, "is_active" bool NOT NULL, "date_joined" datetime NOT NULL, "first_name" varchar(150) NOT NULL);
CREATE TABLE "auth_user_groups" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "auth_user_user_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "permission_id" integer NOT NULL REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "digest_block" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "position" smallint unsigned NOT NULL CHECK ("position" >= 0), "title" text NOT NULL, "upvotes" integer unsigned NOT NULL CHECK ("upvotes" >= 0), "topics" text NOT NULL CHECK ((JSON_VALID("topics") OR "topics" IS NULL)), "html" text NOT NULL, "text" text NOT NULL, "edition_id" bigint NOT NULL REFERENCES "digest_edition" ("id") DEFERRABLE INITIALLY DEFERRED, "paper_id" bigint NOT NULL REFERENCES "digest_paper" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "block_unique" UNIQUE ("edition_id", "paper_id"), CONSTRAINT "block_position_unique" UNIQUE ("edition_id", "position"));
INSERT INTO "digest_block" VALUES(1,0,'Its over diffusion compute five baselines wide ≤ to with on a → over we',301,'{"time-series-tabular": 0.9276230597814441, "code": 0.9720551718754014, "rag-search": 0.6998628859522819}','<table class="wide" role="presentation" style="border-collapse: collapse;width: 100&#37;;table-layout: fixed;"><tbody><tr><td class="paper" style="padding: 22px 0 24px;border-top: 1px solid #d8d5cc;word-break: break-word;">
<h2 class="title" style="margin: 0 0 4px;font-family: Georgia, ''Times New Roman'', serif;font-size: 20px;line-height: 27px;font-weight: bold;color: #1d1d1b;"><a href="http://127.0.0.1:8000/papers/2604.10000/" style="color: #1d1d1b;text-decoration: none;">Its over diffusion compute five baselines wide ≤ to with on a → over we</a></h2>
<p class="reason" style="margin: 0 0 2px;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 13px;line-height: 20px;font-weight: bold;color: #8a3d0a;">﷐</p>
<p class="byline" style="margin: 0 0 10px;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 13px;line-height: 20px;color: #5c5a55;">Author 0 Example, Author 1 Example, Author 2 Example ﷘further:3﷙</p>
<p class="abstract" style="margin: 0 0 10px;font-family: Georgia, ''Times New Roman'', serif;font-size: 16px;line-height: 25px;color: #1d1d1b;">Baselines reasoning with data inference a that a show ≤ language improve a agents strong five with für with agents by robust that results with tasks robust. Compute graph sets improve sets from sparse evaluation five sets in learned margin policy this results across schrödinger β-approximation scales strong. Data token in β-approximation on a wide model training in falls falls sets with show vision with this für naïve by reasoning we → while to improve attention. Margin schrödinger vision sets paper on naïve results für we graph by a with across tasks scales diffusion learned long context that baselines show benchmarks. …</p>
<p class="links" style="margin: 0;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 14px;line-height: 24px;color: #5c5a55;"><a href="http://127.0.0.1:8000/papers/2604.10000/" style="color: #1b5e87;">﷘web:0﷙</a>﷗<br><a href="http://127.0.0.1:8000/v/﷕/﷚" style="color: #1b5e87;">﷘vote:0﷙</a>﷗</p>
</td></tr></tbody></table>
','Its over diffusion compute five baselines wide ≤ to with on a → over we
﷐
Author 0 Example, Author 1 Example, Author 2 Example ﷘further:3﷙

Baselines reasoning with data inference a that a show ≤ language improve
a agents strong five with für with agents by robust that results with
tasks robust. Compute graph sets improve sets from sparse evaluation
five sets in learned margin policy this results across schrödinger
β-approximation scales strong. Data token in β-approximation on a wide
model training in falls falls sets with show vision with this für naïve
by reasoning we → while to improve attention. Margin schrödinger vision
sets paper on naïve results für we graph by a with across tasks scales
diffusion learned long context that baselines show benchmarks. …

﷘web:0﷙: http://127.0.0.1:8000/papers/2604.10000/
﷗﷘vote:0﷙: http://127.0.0.1:8000/v/﷕/﷚
﷗

',1,1);
INSERT INTO "digest_block" VALUES(2,1,'Falls falls language reasoning graph sets diffusion β-approximation theory',151,'{"architectures": 0.5987270172859211, "nlp-multilingual": 0.9591853067179184, "continual-transfer": 0.8037183711709459}','<table class="wide" role="presentation" style="border-collapse: collapse;width: 100&#37;;table-layout: fixed;"><tbody><tr><td class="paper" style="padding: 22px 0 24px;border-top: 1px solid #d8d5cc;word-break: break-word;">
<h2 class="title" style="margin: 0 0 4px;font-family: Georgia, ''Times New Roman'', serif;font-size: 20px;line-height: 27px;font-weight: bold;color: #1d1d1b;"><a href="http://127.0.0.1:8000/papers/2604.10001/" style="color: #1d1d1b;text-decoration: none;">Falls falls language reasoning graph sets diffusion β-approximation theory</a></h2>
<p class="reason" style="margin: 0 0 2px;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 13px;line-height: 20px;font-weight: bold;color: #8a3d0a;">﷐</p>
<p class="byline" style="margin: 0 0 10px;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 13px;line-height: 20px;color: #5c5a55;">Author 0 Example, Author 1 Example, Author 2 Example ﷘further:3﷙</p>
<p class="abstract" style="margin: 0 0 10px;font-family: Georgia, ''Times New Roman'', serif;font-size: 16px;line-height: 25px;color: #1d1d1b;">Theory and robust rewards on its data memory model paper long ≤ cost while theory and ≤ long agents context reasoning schrödinger robust and by benchmarks. Data model robust show show scales paper and model from rewards results token and baselines falls rewards token data over ≤ robust diffusion margin inference. With to inference model a show robust inference baselines in inference this over over inference by and diffusion language wide naïve retrieval tasks to. Training vision policy schrödinger context benchmarks scales baselines scales theory with → training model memory tasks inference sparse policy graph. …</p>
<p class="links" style="margin: 0;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 14px;line-height: 24px;color: #5c5a55;"><a href="http://127.0.0.1:8000/papers/2604.10001/" style="color: #1b5e87;">﷘web:0﷙</a>﷗<br><a href="http://127.0.0.1:8000/v/﷕/﷚" style="color: #1b5e87;">﷘vote:0﷙</a>﷗</p>
</td></tr></tbody></table>
','Falls falls language reasoning graph sets diffusion β-approximation
theory
﷐
Author 0 Example, Author 1 Example, Author 2 Example ﷘further:3﷙

Theory and robust rewards on its data memory model paper long ≤ cost
while theory and ≤ long agents context reasoning schrödinger robust and
by benchmarks. Data model robust show show scales paper and model from
rewards results token and baselines falls rewards token data over ≤
robust diffusion margin inference. With to inference model a show robust
inference baselines in inference this over over inference by and
diffusion language wide naïve retrieval tasks to. Training vision policy
schrödinger context benchmarks scales baselines scales theory with →
training model memory tasks inference sparse policy graph. …

﷘web:0﷙: http://127.0.0.1:8000/papers/2604.10001/
﷗﷘vote:0﷙: http://127.0.0.1:8000/v/﷕/﷚
﷗

',1,2);
CREATE TABLE "digest_bucket" ("name" varchar(270) NOT NULL PRIMARY KEY, "full_at" datetime NOT NULL, "in_use_until" datetime NOT NULL);
CREATE TABLE "digest_delivery" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "state" varchar(10) NOT NULL, "due_at" datetime NOT NULL, "not_before" datetime NOT NULL, "expires_at" datetime NOT NULL, "attempts" smallint unsigned NOT NULL CHECK ("attempts" >= 0), "lease_token" varchar(22) NOT NULL, "picks" varchar(400) NOT NULL, "reason" varchar(60) NOT NULL, "reply" varchar(500) NOT NULL, "intent_at" datetime NULL, "outcome_at" datetime NULL, "edition_id" bigint NOT NULL, "is_open" bool GENERATED ALWAYS AS ("state" IN ('pending', 'claimed', 'submitting')) STORED, "is_unknown" bool GENERATED ALWAYS AS ("state" = 'unknown') STORED, "subscriber_id" bigint NULL, CONSTRAINT "delivery_unique" UNIQUE ("edition_id", "subscriber_id"));
INSERT INTO "digest_delivery" VALUES(1,'pending','2026-04-17 15:00:00','2026-04-17 15:00:00','2026-11-29 15:18:38.417000',0,'','','','',NULL,NULL,1,3);
INSERT INTO "digest_delivery" VALUES(2,'pending','2026-04-18 00:00:00','2026-04-18 00:00:00','2026-11-29 15:18:38.417000',0,'','','','',NULL,NULL,1,1);
INSERT INTO "digest_delivery" VALUES(3,'pending','2026-04-18 03:30:00','2026-04-18 03:30:00','2026-11-29 15:18:38.417000',0,'','','','',NULL,NULL,1,2);
CREATE TABLE "digest_deliveryevent" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "email_hash" varchar(64) NOT NULL, "at" datetime NOT NULL, "source" varchar(8) NOT NULL, "kind" varchar(20) NOT NULL, "reason" varchar(60) NOT NULL, "reply" varchar(500) NOT NULL, "event_key" varchar(64) NULL UNIQUE, "delivery_id" bigint NULL REFERENCES "digest_delivery" ("id") DEFERRABLE INITIALLY DEFERRED, "message_id" varchar(200) NOT NULL);
INSERT INTO "digest_deliveryevent" VALUES(1,'','2026-04-17 12:00:00','provider','delivered','','',NULL,1,'');
CREATE TABLE "digest_domainrest" ("domain" varchar(255) NOT NULL PRIMARY KEY, "failures" integer unsigned NOT NULL CHECK ("failures" >= 0), "rests" smallint unsigned NOT NULL CHECK ("rests" >= 0), "resting_until" datetime NULL, "changed_at" datetime NOT NULL);
CREATE TABLE "digest_edition" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "kind" varchar(6) NOT NULL, "day" date NOT NULL, "published_at" datetime NOT NULL, "planned_until" datetime NULL, "hold" varchar(9) NOT NULL, "hold_reason" varchar(200) NOT NULL, CONSTRAINT "edition_unique" UNIQUE ("kind", "day"));
INSERT INTO "digest_edition" VALUES(1,'daily','2026-04-17','2026-04-17 08:30:00',NULL,'','');
CREATE TABLE "digest_frame" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "fingerprint" varchar(12) NOT NULL, "data" text NOT NULL, "edition_id" bigint NOT NULL REFERENCES "digest_edition" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "frame_unique" UNIQUE ("edition_id", "fingerprint"));
INSERT INTO "digest_frame" VALUES(1,'b950ae8899b7','{"sender": "Daily Papers <papers@daily-papers.example>", "site": "http://127.0.0.1:8000", "spoken": {"de": {"html": "<!DOCTYPE html><html lang=\"de\" dir=\"ltr\" style=\"color-scheme: light dark;\"><head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"format-detection\" content=\"telephone=no, date=no, address=no, email=no\">\n<title>Daily Papers, 17. April 2026</title>\n\n<style data-css-inline=\"keep\">\n:root { color-scheme: light dark; }\n@media (prefers-color-scheme: dark) {\nbody, .page { background: #191917 !important; }\n.cell, .day, .abstract, .title, .title a { color: #ebe8e1 !important; }\n.brand, .reason { color: #f0a56b !important; }\n.ahead, .when, .byline, .links, .foot { color: #b5b1a8 !important; }\n.when a, .links a, .foot a, .text a { color: #8cc4ea !important; }\n.press { background: #8cc4ea !important; }\n.press a { color: #10202b !important; }\n.paper, .foot { border-color: #44423d !important; }\n}\n</style>\n</head>\n<body style=\"margin: 0;padding: 0;background: #f6f5f1;color: #1d1d1b;\">\n<table class=\"page\" role=\"presentation\" style=\"border-collapse: collapse;width: 100%;background: #f6f5f1;\"><tbody><tr><td style=\"padding: 0;\">\n<!--[if mso]><table role=\"presentation\" width=\"600\" align=\"center\"><tr><td><![endif]-->\n<table class=\"column\" role=\"presentation\" style=\"border-collapse: collapse;width: 100%;max-width: 600px;margin: 0 auto;table-layout: fixed;\"><tbody><tr><td class=\"cell\" style=\"padding: 20px 20px 32px;font-family: Georgia, ''Times New Roman'', serif;font-size: 16px;line-height: 24px;color: #1d1d1b;word-break: break-word;\">\n<div role=\"article\" aria-label=\"Daily Papers\" lang=\"de\" dir=\"ltr\">\n\n<p class=\"ahead\" style=\"margin: 0 0 24px;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 12px;line-height: 18px;color: #5c5a55;\">\ufdd4</p>\n<p class=\"brand\" style=\"margin: 0 0 4px;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 14px;line-height: 20px;letter-spacing: 0.02em;color: #8a3d0a;font-weight: bold;\">Daily Papers</p>\n<h1 class=\"day\" style=\"margin: 0 0 10px;font-size: 30px;line-height: 36px;font-weight: normal;color: #1d1d1b;\">\ufdd2</h1>\n<p class=\"when\" style=\"margin: 0 0 24px;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 14px;line-height: 20px;color: #5c5a55;\">17. April 2026 \u00b7 <a href=\"http://127.0.0.1:8000/digest/\ufdd5\" style=\"color: #1b5e87;\">Im Browser lesen</a></p>\n\ufdd3\n\n<table class=\"wide\" role=\"presentation\" style=\"border-collapse: collapse;width: 100%;table-layout: fixed;\"><tbody><tr><td class=\"foot\" style=\"padding: 20px 0 0;border-top: 1px solid #d8d5cc;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 13px;line-height: 20px;color: #5c5a55;word-break: break-word;\">\n\ufdd6\n<p class=\"text\" style=\"margin: 0 0 12px;\">Du bekommst diese Mail, weil du dich auf 127.0.0.1:8000 angemeldet und das best\u00e4tigt hast. Sie enth\u00e4lt die Paper deiner Themen, die besten zuerst; die Zeile unter jedem Titel sagt, warum es dabei ist.</p>\n<p class=\"text\" style=\"margin: 0 0 12px;\"><a href=\"http://127.0.0.1:8000/u/\ufdd1\" style=\"color: #1b5e87;\">Abbestellen</a> \u00b7 <a href=\"http://127.0.0.1:8000/u/\ufdd1#more\" style=\"color: #1b5e87;\">Pausieren oder nur w\u00f6chentlich</a> \u00b7 <a href=\"http://127.0.0.1:8000/preferences/\" style=\"color: #1b5e87;\">Themen oder Stunde \u00e4ndern</a> \u00b7 <a href=\"http://127.0.0.1:8000/papers/2026-04-17/\" style=\"color: #1b5e87;\">Alle Paper des Tages</a></p>\n<p class=\"text\" style=\"margin: 0 0 12px;\">Paper und Stimmen von der Seite Daily Papers bei Hugging Face, Metadaten von arXiv.</p>\n<p class=\"text\" style=\"margin: 0 0 12px;\">Sample Street 1, 12345 Sample Town (set POSTAL_ADDRESS)</p>\n</td></tr></tbody></table>\n</div>\n</td></tr></tbody></table>\n<!--[if mso]></td></tr></table><![endif]-->\n</td></tr></tbody></table>\n\n\n</body></html>", "text": "DAILY PAPERS\n\ufdd2, 17. April 2026\n\nIm Browser lesen:\nhttp://127.0.0.1:8000/digest/\ufdd5\n\n\ufdd3\ufdd6-- \nDu bekommst diese Mail, weil du dich auf 127.0.0.1:8000 angemeldet und\ndas best\u00e4tigt hast. Sie enth\u00e4lt die Paper deiner Themen, die besten\nzuerst; die Zeile unter jedem Titel sagt, warum es dabei ist.\n\nAbbestellen:\nhttp://127.0.0.1:8000/u/\ufdd1\nPausieren oder nur w\u00f6chentlich:\nhttp://127.0.0.1:8000/u/\ufdd1#more\nThemen oder Stunde \u00e4ndern:\nhttp://127.0.0.1:8000/preferences/\nAlle Paper des Tages:\nhttp://127.0.0.1:8000/papers/2026-04-17/\n\nPaper und Stimmen von der Seite Daily Papers bei Hugging Face, Metadaten\nvon arXiv.\n\nSample Street 1, 12345 Sample Town (set POSTAL_ADDRESS)\n"}, "en": {"html": "<!DOCTYPE html><html lang=\"en\" dir=\"ltr\" style=\"color-scheme: light dark;\"><head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"format-detection\" content=\"telephone=no, date=no, address=no, email=no\">\n<title>Daily Papers, 17 April 2026</title>\n\n<style data-css-inline=\"keep\">\n:root { color-scheme: light dark; }\n@media (prefers-color-scheme: dark) {\nbody, .page { background: #191917 !important; }\n.cell, .day, .abstract, .title, .title a { color: #ebe8e1 !important; }\n.brand, .reason { color: #f0a56b !important; }\n.ahead, .when, .byline, .links, .foot { color: #b5b1a8 !important; }\n.when a, .links a, .foot a, .text a { color: #8cc4ea !important; }\n.press { background: #8cc4ea !important; }\n.press a { color: #10202b !important; }\n.paper, .foot { border-color: #44423d !important; }\n}\n</style>\n</head>\n<body style=\"margin: 0;padding: 0;background: #f6f5f1;color: #1d1d1b;\">\n<table class=\"page\" role=\"presentation\" style=\"border-collapse: collapse;width: 100%;background: #f6f5f1;\"><tbody><tr><td style=\"padding: 0;\">\n<!--[if mso]><table role=\"presentation\" width=\"600\" align=\"center\"><tr><td><![endif]-->\n<table class=\"column\" role=\"presentation\" style=\"border-collapse: collapse;width: 100%;max-width: 600px;margin: 0 auto;table-layout: fixed;\"><tbody><tr><td class=\"cell\" style=\"padding: 20px 20px 32px;font-family: Georgia, ''Times New Roman'', serif;font-size: 16px;line-height: 24px;color: #1d1d1b;word-break: break-word;\">\n<div role=\"article\" aria-label=\"Daily Papers\" lang=\"en\" dir=\"ltr\">\n\n<p class=\"ahead\" style=\"margin: 0 0 24px;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 12px;line-height: 18px;color: #5c5a55;\">\ufdd4</p>\n<p class=\"brand\" style=\"margin: 0 0 4px;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 14px;line-height: 20px;letter-spacing: 0.02em;color: #8a3d0a;font-weight: bold;\">Daily Papers</p>\n<h1 class=\"day\" style=\"margin: 0 0 10px;font-size: 30px;line-height: 36px;font-weight: normal;color: #1d1d1b;\">\ufdd2</h1>\n<p class=\"when\" style=\"margin: 0 0 24px;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 14px;line-height: 20px;color: #5c5a55;\">17 April 2026 \u00b7 <a href=\"http://127.0.0.1:8000/digest/\ufdd5\" style=\"color: #1b5e87;\">Read it in the browser</a></p>\n\ufdd3\n\n<table class=\"wide\" role=\"presentation\" style=\"border-collapse: collapse;width: 100%;table-layout: fixed;\"><tbody><tr><td class=\"foot\" style=\"padding: 20px 0 0;border-top: 1px solid #d8d5cc;font-family: -apple-system, ''Segoe UI'', Helvetica, Arial, sans-serif;font-size: 13px;line-height: 20px;color: #5c5a55;word-break: break-word;\">\n\ufdd6\n<p class=\"text\" style=\"margin: 0 0 12px;\">You get this mail because you subscribed at 127.0.0.1:8000 and confirmed it. It holds the papers of your topics, best first; the line under each title says why it is there.</p>\n<p class=\"text\" style=\"margin: 0 0 12px;\"><a href=\"http://127.0.0.1:8000/u/\ufdd1\" style=\"color: #1b5e87;\">Unsubscribe</a> \u00b7 <a href=\"http://127.0.0.1:8000/u/\ufdd1#more\" style=\"color: #1b5e87;\">Pause, or get it weekly</a> \u00b7 <a href=\"http://127.0.0.1:8000/preferences/\" style=\"color: #1b5e87;\">Change topics or hour</a> \u00b7 <a href=\"http://127.0.0.1:8000/papers/2026-04-17/\" style=\"color: #1b5e87;\">All papers of the day</a></p>\n<p class=\"text\" style=\"margin: 0 0 12px;\">Papers and votes from the Daily Papers page of Hugging Face, metadata from arXiv.</p>\n<p class=\"text\" style=\"margin: 0 0 12px;\">Sample Street 1, 12345 Sample Town (set POSTAL_ADDRESS)</p>\n</td></tr></tbody></table>\n</div>\n</td></tr></tbody></table>\n<!--[if mso]></td></tr></table><![endif]-->\n</td></tr></tbody></table>\n\n\n</body></html>", "text": "DAILY PAPERS\n\ufdd2, 17 April 2026\n\nRead it in the browser:\nhttp://127.0.0.1:8000/digest/\ufdd5\n\n\ufdd3\ufdd6-- \nYou get this mail because you subscribed at 127.0.0.1:8000 and confirmed\nit. It holds the papers of your topics, best first; the line under each\ntitle says why it is there.\n\nUnsubscribe:\nhttp://127.0.0.1:8000/u/\ufdd1\nPause, or get it weekly:\nhttp://127.0.0.1:8000/u/\ufdd1#more\nChange topics or hour:\nhttp://127.0.0.1:8000/preferences/\nAll papers of the day:\nhttp://127.0.0.1:8000/papers/2026-04-17/\n\nPapers and votes from the Daily Papers page of Hugging Face, metadata\nfrom arXiv.\n\nSample Street 1, 12345 Sample Town (set POSTAL_ADDRESS)\n"}}, "topics": [["llm-pretraining", "Pretraining"], ["alignment-posttraining", "Post-training"], ["reasoning", "Reasoning"], ["agents", "Agents"], ["multi-agent", "Multi-agent systems"], ["code", "Code"], ["math-proof", "Mathematics & proofs"], ["rag-search", "Retrieval & search"], ["long-context-memory", "Long context & memory"], ["nlp-multilingual", "Languages & NLP"], ["rl", "Reinforcement learning"], ["architectures", "Architectures"], ["diffusion-flow", "Diffusion & flow models"], ["data", "Datasets & synthetic data"], ["graphs", "Graphs"], ["ml-theory", "Theory & optimization"], ["continual-transfer", "Fine-tuning & transfer"], ["efficiency-inference", "Efficient inference"], ["distributed-systems", "Distributed systems"], ["multimodal-vlm", "Vision-language models"], ["image-generation", "Image generation"], ["video", "Video"], ["world-models", "World models"], ["3d-vision", "3D & graphics"], ["vision-recognition", "Visual recognition"], ["robotics", "Robotics"], ["autonomous-driving", "Autonomous driving"], ["audio-speech", "Speech, audio & music"], ["recsys", "Recommender systems"], ["time-series-tabular", "Time series & tables"], ["science", "AI for science"], ["bio-health", "Biology & health"], ["wireless-signal", "Signals & communications"], ["evaluation-benchmarks", "Benchmarks"], ["safety-security", "Safety & security"], ["hallucination-trust", "Trust & factuality"], ["interpretability", "Interpretability"], ["society-ethics", "Society & people"], ["", "Your keywords"], ["", "An author you watch"], ["", "Like papers you liked"]]}',1);
CREATE TABLE "digest_heartbeat" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "loop" varchar(8) NOT NULL UNIQUE, "at" datetime NOT NULL);
CREATE TABLE "digest_highwater" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "identity" varchar(22) NOT NULL, "count" bigint unsigned NOT NULL CHECK ("count" >= 0), "site_url" varchar(200) NOT NULL, "resting_until" datetime NULL, "failures" smallint unsigned NOT NULL CHECK ("failures" >= 0));
INSERT INTO "digest_highwater" VALUES(1,'XTn_h4-4ph8HWJyy1K04zg',7,'',NULL,0);
CREATE TABLE "digest_lease" ("token" varchar(22) NOT NULL PRIMARY KEY, "claimed_until" datetime NOT NULL, "submitting_until" datetime NULL, "deliveries" text NOT NULL);
CREATE TABLE "digest_paper" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "arxiv_id" varchar(32) NOT NULL UNIQUE, "title" text NOT NULL, "abstract" text NOT NULL, "authors" text NOT NULL CHECK ((JSON_VALID("authors") OR "authors" IS NULL)), "author_count" integer unsigned NOT NULL CHECK ("author_count" >= 0), "organization" varchar(200) NOT NULL, "submitted_at" datetime NULL, "day" date NOT NULL, "upvotes" integer unsigned NOT NULL CHECK ("upvotes" >= 0), "comments" integer unsigned NOT NULL CHECK ("comments" >= 0), "code_url" varchar(500) NOT NULL, "project_url" varchar(500) NOT NULL, "keywords" text NOT NULL CHECK ((JSON_VALID("keywords") OR "keywords" IS NULL)), "categories" text NOT NULL CHECK ((JSON_VALID("categories") OR "categories" IS NULL)), "is_sample" bool NOT NULL, "fetched_at" datetime NOT NULL);
INSERT INTO "digest_paper" VALUES(1,'2604.10000','Its over diffusion compute five baselines wide ≤ to with on a → over we','Baselines reasoning with data inference a that a show ≤ language improve a agents strong five with für with agents by robust that results with tasks robust. Compute graph sets improve sets from sparse evaluation five sets in learned margin policy this results across schrödinger β-approximation scales strong. Data token in β-approximation on a wide model training in falls falls sets with show vision with this für naïve by reasoning we → while to improve attention. Margin schrödinger vision sets paper on naïve results für we graph by a with across tasks scales diffusion learned long context that baselines show benchmarks. Policy reasoning and tasks für robust over falls token diffusion falls reasoning robust by memory five wide and a training → theory results from retrieval. Data diffusion to over that agents that in cost learned token baselines sets improve agents baselines agents a in memory improve attention sparse while. Language of training long long training sparse token results diffusion while show learned language by falls learned ≤ vision für with to over from five. Data → robust sets five that memory this evaluation that token vision memory its theory improve language reasoning with ≤ für on rewards over model context.','["Author 0 Example", "Author 1 Example", "Author 2 Example", "Author 3 Example", "Author 4 Example", "Author 5 Example"]',6,'','2026-04-17 08:30:00','2026-04-17',301,0,'','','[]','[]',1,'2026-04-17 08:30:00');
INSERT INTO "digest_paper" VALUES(2,'2604.10001','Falls falls language reasoning graph sets diffusion β-approximation theory','Theory and robust rewards on its data memory model paper long ≤ cost while theory and ≤ long agents context reasoning schrödinger robust and by benchmarks. Data model robust show show scales paper and model from rewards results token and baselines falls rewards token data over ≤ robust diffusion margin inference. With to inference model a show robust inference baselines in inference this over over inference by and diffusion language wide naïve retrieval tasks to. Training vision policy schrödinger context benchmarks scales baselines scales theory with → training model memory tasks inference sparse policy graph. With scales policy agents that policy this long reasoning long long that show robust naïve five wide per with sets memory long across across per cost. Inference training data robust while to cost learned inference to across sparse over token of policy diffusion over baselines over diffusion strong by. Show in theory falls retrieval on a results that attention naïve its while its retrieval benchmarks in this across scales with on we across inference. Sets strong agents rewards inference five margin agents paper theory benchmarks agents of long β-approximation token to training sparse sparse β-approximation.','["Author 0 Example", "Author 1 Example", "Author 2 Example", "Author 3 Example", "Author 4 Example", "Author 5 Example"]',6,'','2026-04-17 08:30:00','2026-04-17',151,1,'https://github.com/example/2604.10001','https://2604.10001.example.org/','[]','[]',1,'2026-04-17 08:30:00');
CREATE TABLE "digest_submission" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "account" varchar(40) NOT NULL, "intent_at" datetime NOT NULL, "members" text NOT NULL CHECK ((JSON_VALID("members") OR "members" IS NULL)));
CREATE TABLE "digest_vote" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "value" smallint NOT NULL, "at" datetime NOT NULL, "paper_id" bigint NOT NULL REFERENCES "digest_paper" ("id") DEFERRABLE INITIALLY DEFERRED, "subscriber_id" bigint NOT NULL REFERENCES "subscribers_subscriber" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "vote_unique" UNIQUE ("subscriber_id", "paper_id"), CONSTRAINT "vote_more_or_less" CHECK ("value" IN (1, -1)));
INSERT INTO "digest_vote" VALUES(1,1,'2026-04-17 12:00:00',1,2);
CREATE TABLE "digest_warmupday" ("day" date NOT NULL PRIMARY KEY, "handed_over" integer unsigned NOT NULL CHECK ("handed_over" >= 0));
CREATE TABLE "django_admin_log" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "object_id" text NULL, "object_repr" varchar(200) NOT NULL, "action_flag" smallint unsigned NOT NULL CHECK ("action_flag" >= 0), "change_message" text NOT NULL, "content_type_id" integer NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" integer NOT NULL REFERENCES "auth_user" ("id") DEFERRABLE INITIALLY DEFERRED, "action_time" datetime NOT NULL);
CREATE TABLE "django_content_type" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app_label" varchar(100) NOT NULL, "model" varchar(100) NOT NULL);
INSERT INTO "django_content_type" VALUES(1,'subscribers','consentevent');
INSERT INTO "django_content_type" VALUES(2,'subscribers','link');
INSERT INTO "django_content_type" VALUES(3,'subscribers','notice');
INSERT INTO "django_content_type" VALUES(4,'subscribers','request');
INSERT INTO "django_content_type" VALUES(5,'subscribers','schedule');
INSERT INTO "django_content_type" VALUES(6,'subscribers','subscriber');
INSERT INTO "django_content_type" VALUES(7,'subscribers','subscription');
INSERT INTO "django_content_type" VALUES(8,'subscribers','suppression');
INSERT INTO "django_content_type" VALUES(9,'subscribers','topic');
INSERT INTO "django_content_type" VALUES(10,'digest','block');
INSERT INTO "django_content_type" VALUES(11,'digest','bucket');
INSERT INTO "django_content_type" VALUES(12,'digest','delivery');
INSERT INTO "django_content_type" VALUES(13,'digest','deliveryevent');
INSERT INTO "django_content_type" VALUES(14,'digest','domainrest');
INSERT INTO "django_content_type" VALUES(15,'digest','edition');
INSERT INTO "django_content_type" VALUES(16,'digest','frame');
INSERT INTO "django_content_type" VALUES(17,'digest','heartbeat');
INSERT INTO "django_content_type" VALUES(18,'digest','highwater');
INSERT INTO "django_content_type" VALUES(19,'digest','lease');
INSERT INTO "django_content_type" VALUES(20,'digest','paper');
INSERT INTO "django_content_type" VALUES(21,'digest','submission');
INSERT INTO "django_content_type" VALUES(22,'digest','vote');
INSERT INTO "django_content_type" VALUES(23,'digest','warmupday');
INSERT INTO "django_content_type" VALUES(24,'admin','logentry');
INSERT INTO "django_content_type" VALUES(25,'auth','group');
INSERT INTO "django_content_type" VALUES(26,'auth','permission');
INSERT INTO "django_content_type" VALUES(27,'auth','user');
INSERT INTO "django_content_type" VALUES(28,'contenttypes','contenttype');
INSERT INTO "django_content_type" VALUES(29,'sessions','session');
CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL, "applied" datetime NOT NULL);
INSERT INTO "django_migrations" VALUES(1,'contenttypes','0001_initial','2026-11-28 21:18:33.018408');
INSERT INTO "django_migrations" VALUES(2,'auth','0001_initial','2026-11-28 21:18:33.084850');
INSERT INTO "django_migrations" VALUES(3,'admin','0001_initial','2026-11-28 21:18:33.123857');
INSERT INTO "django_migrations" VALUES(4,'admin','0002_logentry_remove_auto_add','2026-11-28 21:18:33.156391');
INSERT INTO "django_migrations" VALUES(5,'admin','0003_logentry_add_action_flag_choices','2026-11-28 21:18:33.185957');
INSERT INTO "django_migrations" VALUES(6,'contenttypes','0002_remove_content_type_name','2026-11-28 21:18:33.257733');
INSERT INTO "django_migrations" VALUES(7,'auth','0002_alter_permission_name_max_length','2026-11-28 21:18:33.305513');
INSERT INTO "django_migrations" VALUES(8,'auth','0003_alter_user_email_max_length','2026-11-28 21:18:33.347314');
INSERT INTO "django_migrations" VALUES(9,'auth','0004_alter_user_username_opts','2026-11-28 21:18:33.387319');
INSERT INTO "django_migrations" VALUES(10,'auth','0005_alter_user_last_login_null','2026-11-28 21:18:33.419780');
INSERT INTO "django_migrations" VALUES(11,'auth','0006_require_contenttypes_0002','2026-11-28 21:18:33.428076');
INSERT INTO "django_migrations" VALUES(12,'auth','0007_alter_validators_add_error_messages','2026-11-28 21:18:33.455702');
INSERT INTO "django_migrations" VALUES(13,'auth','0008_alter_user_username_max_length','2026-11-28 21:18:33.485451');
INSERT INTO "django_migrations" VALUES(14,'auth','0009_alter_user_last_name_max_length','2026-11-28 21:18:33.548192');
INSERT INTO "django_migrations" VALUES(15,'auth','0010_alter_group_name_max_length','2026-11-28 21:18:33.581957');
INSERT INTO "django_migrations" VALUES(16,'auth','0011_update_proxy_permissions','2026-11-28 21:18:33.601278');
INSERT INTO "django_migrations" VALUES(17,'auth','0012_alter_user_first_name_max_length','2026-11-28 21:18:33.639274');
INSERT INTO "django_migrations" VALUES(18,'subscribers','0001_initial','2026-11-28 21:18:33.981011');
INSERT INTO "django_migrations" VALUES(19,'subscribers','0002_topic_column','2026-11-28 21:18:34.092005');
INSERT INTO "django_migrations" VALUES(20,'subscribers','0003_subscriber_profile','2026-11-28 21:18:34.204059');
INSERT INTO "django_migrations" VALUES(21,'digest','0001_initial','2026-11-28 21:18:34.843075');
INSERT INTO "django_migrations" VALUES(22,'digest','0002_heartbeat','2026-11-28 21:18:34.857005');
INSERT INTO "django_migrations" VALUES(23,'digest','0003_event_message_id','2026-11-28 21:18:34.872350');
INSERT INTO "django_migrations" VALUES(24,'digest','0004_submission','2026-11-28 21:18:34.879167');
INSERT INTO "django_migrations" VALUES(25,'digest','0005_vote','2026-11-28 21:18:34.897561');
INSERT INTO "django_migrations" VALUES(26,'digest','0006_slices_have_leases','2026-11-28 21:18:35.724959');
INSERT INTO "django_migrations" VALUES(27,'digest','0007_limits_and_resting_domains','2026-11-28 21:18:35.755873');
INSERT INTO "django_migrations" VALUES(28,'digest','0008_no_index_by_reader','2026-11-28 21:18:35.830755');
INSERT INTO "django_migrations" VALUES(29,'sessions','0001_initial','2026-11-28 21:18:35.855662');
CREATE TABLE "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, "session_data" text NOT NULL, "expire_date" datetime NOT NULL);
CREATE TABLE "subscribers_consentevent" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "email_hash" varchar(64) NOT NULL, "kind" varchar(12) NOT NULL, "at" datetime NOT NULL, "wording" varchar(32) NOT NULL, "source" varchar(200) NOT NULL, "network" varchar(43) NOT NULL, "detail" text NOT NULL CHECK ((JSON_VALID("detail") OR "detail" IS NULL)), "salt" varchar(22) NOT NULL, "content_hash" varchar(64) NOT NULL, "number" bigint unsigned NULL UNIQUE CHECK ("number" >= 0), "seal" varchar(64) NOT NULL, "subscriber_id" bigint NULL REFERENCES "subscribers_subscriber" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "subscribers_consentevent" VALUES(1,'d7e9c0b834fc165ace3ed6650c472d555c3d89f5244c2bfb4d53f1634f3773f5','requested','2026-04-17 12:00:00','2026-11','/subscribe/','','{"topics": ["graphs"], "timezone": "UTC", "send_hour": 7, "cadence": "daily", "days": [], "most_papers": 10}','OPHKFJ-mxlXyLppo7b-kdw','c00a0d5db00deaa7c27c236a962b13f23d24197306964500f1b4655501d584ba',1,'a843ba494b20c2ed06f9243bb363920a4d407aa2e5e9e3149807445b280e0b2b',4);
INSERT INTO "subscribers_consentevent" VALUES(2,'1974b845c7baafc7d5d3a8e3b0e2670514952d1c49fe25e788400832f3cb54cf','unsubscribed','2026-04-17 12:00:00','','/u/','','{}','pcFydVRWf_6zJ_ijcSLVwg','09bd491030402efb620810c6da45396e10e67ddc8e3704211889ade784c31ca3',2,'d339c6b66027ab132a63a68cb4a52d660459eacf3e16f5bb5142d592bb98e554',1);
CREATE TABLE "subscribers_link" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "purpose" varchar(12) NOT NULL, "token_hash" varchar(64) NOT NULL UNIQUE, "created_at" datetime NOT NULL, "expires_at" datetime NOT NULL, "used_at" datetime NULL, "email" varchar(254) NOT NULL, "subscriber_id" bigint NOT NULL REFERENCES "subscribers_subscriber" ("id") DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "subscribers_notice" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "kind" varchar(12) NOT NULL, "email" varchar(254) NOT NULL, "mailbox" varchar(64) NOT NULL, "state" varchar(10) NOT NULL, "created_at" datetime NOT NULL, "not_before" datetime NOT NULL, "attempts" smallint unsigned NOT NULL CHECK ("attempts" >= 0), "submitted_at" datetime NULL, "reason" varchar(200) NOT NULL, "subscriber_id" bigint NOT NULL REFERENCES "subscribers_subscriber" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "subscribers_notice" VALUES(1,'confirm','','f8fc57685d5a356c4742c35c6aecf04a4eb315910a9e06c284822db9a784abaa','pending','2026-04-17 12:00:00','2026-04-17 12:00:00',0,NULL,'',4);
CREATE TABLE "subscribers_request" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "kind" varchar(8) NOT NULL, "email" varchar(254) NOT NULL, "wishes" text NOT NULL CHECK ((JSON_VALID("wishes") OR "wishes" IS NULL)), "source" varchar(200) NOT NULL, "wording" varchar(32) NOT NULL, "network" varchar(43) NOT NULL, "domain" varchar(64) NOT NULL, "trapped" bool NOT NULL, "proof" varchar(64) NULL UNIQUE, "at" datetime NOT NULL, "not_before" datetime NOT NULL, "handled_at" datetime NULL, "outcome" varchar(12) NOT NULL, "subscriber_id" bigint NULL REFERENCES "subscribers_subscriber" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "subscribers_request" VALUES(1,'sign_up','asked@example.org','{"topics": [], "interests": "", "keywords": [], "watched_authors": [], "muted_authors": [], "most_papers": 10, "language": "en", "timezone": "UTC", "send_hour": 7, "cadence": "daily", "days": []}','/subscribe/','','','91222a244f0c829c361c6ed74c982eec5df840a923ebadae31bf75fe1f4f77b6',0,NULL,'2026-04-17 12:00:00','2026-04-17 12:00:00',NULL,'',NULL);
CREATE TABLE "subscribers_schedule" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "timezone" varchar(64) NOT NULL, "send_hour" smallint unsigned NOT NULL CHECK ("send_hour" >= 0), "cadence" varchar(8) NOT NULL, "days" smallint unsigned NOT NULL CHECK ("days" >= 0), CONSTRAINT "schedule_unique" UNIQUE ("timezone", "send_hour", "cadence", "days"), CONSTRAINT "schedule_hour_of_day" CHECK ("send_hour" <= 23), CONSTRAINT "schedule_some_day" CHECK (("days" >= 1 AND "days" <= 127)));
INSERT INTO "subscribers_schedule" VALUES(1,'America/New_York',6,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(2,'America/New_York',7,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(3,'America/New_York',8,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(4,'America/New_York',9,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(5,'America/New_York',12,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(6,'America/New_York',18,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(7,'America/Los_Angeles',6,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(8,'America/Los_Angeles',7,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(9,'America/Los_Angeles',8,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(10,'America/Los_Angeles',9,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(11,'America/Los_Angeles',12,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(12,'America/Los_Angeles',18,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(13,'Europe/Berlin',6,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(14,'Europe/Berlin',7,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(15,'Europe/Berlin',8,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(16,'Europe/Berlin',9,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(17,'Europe/Berlin',12,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(18,'Europe/Berlin',18,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(19,'Asia/Shanghai',6,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(20,'Asia/Shanghai',7,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(21,'Asia/Shanghai',8,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(22,'Asia/Shanghai',9,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(23,'Asia/Shanghai',12,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(24,'Asia/Shanghai',18,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(25,'Europe/London',6,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(26,'Europe/London',7,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(27,'Europe/London',8,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(28,'Europe/London',9,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(29,'Europe/London',12,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(30,'Europe/London',18,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(31,'Asia/Kolkata',6,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(32,'Asia/Kolkata',7,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(33,'Asia/Kolkata',8,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(34,'Asia/Kolkata',9,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(35,'Asia/Kolkata',12,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(36,'Asia/Kolkata',18,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(37,'Asia/Tokyo',6,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(38,'Asia/Tokyo',7,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(39,'Asia/Tokyo',8,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(40,'Asia/Tokyo',9,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(41,'Asia/Tokyo',12,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(42,'Asia/Tokyo',18,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(43,'America/Sao_Paulo',6,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(44,'America/Sao_Paulo',7,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(45,'America/Sao_Paulo',8,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(46,'America/Sao_Paulo',9,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(47,'America/Sao_Paulo',12,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(48,'America/Sao_Paulo',18,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(49,'Asia/Singapore',6,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(50,'Asia/Singapore',7,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(51,'Asia/Singapore',8,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(52,'Asia/Singapore',9,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(53,'Asia/Singapore',12,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(54,'Asia/Singapore',18,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(55,'Australia/Sydney',6,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(56,'Australia/Sydney',7,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(57,'Australia/Sydney',8,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(58,'Australia/Sydney',9,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(59,'Australia/Sydney',12,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(60,'Australia/Sydney',18,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(61,'Africa/Lagos',6,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(62,'Africa/Lagos',7,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(63,'Africa/Lagos',8,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(64,'Africa/Lagos',9,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(65,'Africa/Lagos',12,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(66,'Africa/Lagos',18,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(67,'Pacific/Auckland',6,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(68,'Pacific/Auckland',7,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(69,'Pacific/Auckland',8,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(70,'Pacific/Auckland',9,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(71,'Pacific/Auckland',12,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(72,'Pacific/Auckland',18,'daily',127);
INSERT INTO "subscribers_schedule" VALUES(73,'UTC',7,'daily',127);
CREATE TABLE "subscribers_subscriber" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "email" varchar(254) NOT NULL UNIQUE, "email_hash" varchar(64) NOT NULL, "state" varchar(12) NOT NULL, "interests" text NOT NULL, "keywords" text NOT NULL CHECK ((JSON_VALID("keywords") OR "keywords" IS NULL)), "watched_authors" text NOT NULL CHECK ((JSON_VALID("watched_authors") OR "watched_authors" IS NULL)), "muted_authors" text NOT NULL CHECK ((JSON_VALID("muted_authors") OR "muted_authors" IS NULL)), "most_papers" smallint unsigned NOT NULL CHECK ("most_papers" >= 0), "language" varchar(8) NOT NULL, "paused_until" date NULL, "unsubscribe_token" varchar(22) NOT NULL UNIQUE, "created_at" datetime NOT NULL, "confirmed_at" datetime NULL, "unsubscribed_at" datetime NULL, "changed_at" datetime NOT NULL, "schedule_id" bigint NOT NULL REFERENCES "subscribers_schedule" ("id") DEFERRABLE INITIALLY DEFERRED, "profile" BLOB NOT NULL, CONSTRAINT "subscriber_active_is_confirmed" CHECK (("state" IN ('pending', 'unsubscribed') OR "confirmed_at" IS NOT NULL)), CONSTRAINT "subscriber_most_papers" CHECK (("most_papers" >= 3 AND "most_papers" <= 20)));
INSERT INTO "subscribers_subscriber" VALUES(1,'reader.1@list1.example.com','1974b845c7baafc7d5d3a8e3b0e2670514952d1c49fe25e788400832f3cb54cf','unsubscribed','','[]','[]','[]',10,'en',NULL,'zLF6RSt65ZBAErCUz0ycpg','2026-03-18 12:00:00','2026-03-18 12:00:00','2026-04-17 12:00:00','2026-04-17 12:00:00',40,X'000040000040');
INSERT INTO "subscribers_subscriber" VALUES(2,'reader.2@list2.example.com','904b44ba7c2f312f123fd2a3959d691d6ba7317e84f885ba7d9f92fc03efd612','active','','[]','[]','[]',10,'en',NULL,'XD1-Nrb3loSTVHK1DIFU5Q','2026-03-18 12:00:00','2026-03-18 12:00:00',NULL,'2026-03-18 12:00:00',34,X'000040000000000000000000000040');
INSERT INTO "subscribers_subscriber" VALUES(3,'reader.3@list3.example.com','5601f738634798cea3dee1371cb118bc022bdf947774f432a839dd579d84452c','active','','[]','[]','[]',10,'en',NULL,'3fwvAr0O8Pr_PQXMJnOBVQ','2026-03-18 12:00:00','2026-03-18 12:00:00',NULL,'2026-03-18 12:00:00',9,X'000000404000400000000040');
INSERT INTO "subscribers_subscriber" VALUES(4,'pending@example.org','d7e9c0b834fc165ace3ed6650c472d555c3d89f5244c2bfb4d53f1634f3773f5','pending','protein folding','[]','[]','[]',10,'en',NULL,'aB-vxdT5XyBnWOWhxDankw','2026-04-17 12:00:00',NULL,NULL,'2026-04-17 12:00:00',73,X'000000000000000000000000000040');
CREATE TABLE "subscribers_subscription" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "subscriber_id" bigint NOT NULL REFERENCES "subscribers_subscriber" ("id") DEFERRABLE INITIALLY DEFERRED, "topic_id" bigint NOT NULL REFERENCES "subscribers_topic" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "subscription_unique" UNIQUE ("subscriber_id", "topic_id"));
INSERT INTO "subscribers_subscription" VALUES(1,1,3);
INSERT INTO "subscribers_subscription" VALUES(2,1,6);
INSERT INTO "subscribers_subscription" VALUES(3,2,3);
INSERT INTO "subscribers_subscription" VALUES(4,2,15);
INSERT INTO "subscribers_subscription" VALUES(5,3,12);
INSERT INTO "subscribers_subscription" VALUES(6,3,5);
INSERT INTO "subscribers_subscription" VALUES(7,3,7);
INSERT INTO "subscribers_subscription" VALUES(8,3,4);
INSERT INTO "subscribers_subscription" VALUES(9,4,15);
CREATE TABLE "subscribers_suppression" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "email_hash" varchar(64) NOT NULL UNIQUE, "reason" varchar(12) NOT NULL, "at" datetime NOT NULL);
INSERT INTO "subscribers_suppression" VALUES(1,'1974b845c7baafc7d5d3a8e3b0e2670514952d1c49fe25e788400832f3cb54cf','left','2026-04-17 12:00:00');
CREATE TABLE "subscribers_topic" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "slug" varchar(50) NOT NULL UNIQUE, "label" varchar(80) NOT NULL, "group" varchar(80) NOT NULL, "description" varchar(300) NOT NULL, "position" smallint unsigned NOT NULL CHECK ("position" >= 0), "column" smallint unsigned NOT NULL UNIQUE CHECK ("column" >= 0));
INSERT INTO "subscribers_topic" VALUES(1,'llm-pretraining','Pretraining','Language models','Training language models from scratch: data mixtures, scaling laws, optimizers, open models.',0,0);
INSERT INTO "subscribers_topic" VALUES(2,'alignment-posttraining','Post-training','Language models','Instruction tuning, preference optimization, reward models, distillation after pretraining.',1,1);
INSERT INTO "subscribers_topic" VALUES(3,'reasoning','Reasoning','Language models','Chains of thought, test-time compute, process rewards, self-verification.',2,2);
INSERT INTO "subscribers_topic" VALUES(4,'agents','Agents','Language models','Language models that use tools, browse, operate computers and plan over many steps.',3,3);
INSERT INTO "subscribers_topic" VALUES(5,'multi-agent','Multi-agent systems','Language models','Several agents that communicate, coordinate, negotiate or compete.',4,4);
INSERT INTO "subscribers_topic" VALUES(6,'code','Code','Language models','Writing, repairing and testing software with models.',5,5);
INSERT INTO "subscribers_topic" VALUES(7,'math-proof','Mathematics & proofs','Language models','Solving mathematical problems, formal proof, theorem proving.',6,6);
INSERT INTO "subscribers_topic" VALUES(8,'rag-search','Retrieval & search','Language models','Search, embeddings, reranking and retrieval-augmented generation.',7,7);
INSERT INTO "subscribers_topic" VALUES(9,'long-context-memory','Long context & memory','Language models','Long inputs, context management, memory that lasts across sessions.',8,8);
INSERT INTO "subscribers_topic" VALUES(10,'nlp-multilingual','Languages & NLP','Language models','Translation, many and small languages, summarization, dialogue, linguistics.',9,9);
INSERT INTO "subscribers_topic" VALUES(11,'rl','Reinforcement learning','Learning methods','Policy optimization, verifiable rewards, exploration, credit assignment.',10,10);
INSERT INTO "subscribers_topic" VALUES(12,'architectures','Architectures','Learning methods','Attention variants, mixture of experts, state-space and recurrent models, tokenizers.',11,11);
INSERT INTO "subscribers_topic" VALUES(13,'diffusion-flow','Diffusion & flow models','Learning methods','Generative models: diffusion, flow matching, samplers, distillation to few steps.',12,12);
INSERT INTO "subscribers_topic" VALUES(14,'data','Datasets & synthetic data','Learning methods','New datasets, synthetic data, curation, filtering and selection.',13,13);
INSERT INTO "subscribers_topic" VALUES(15,'graphs','Graphs','Learning methods','Graph neural networks, message passing, graph transformers, knowledge graphs.',14,14);
INSERT INTO "subscribers_topic" VALUES(16,'ml-theory','Theory & optimization','Learning methods','Proofs about learning, convergence, optimization, causality, equivariance.',15,15);
INSERT INTO "subscribers_topic" VALUES(17,'continual-transfer','Fine-tuning & transfer','Learning methods','LoRA, continual learning, adaptation to new domains, model merging.',16,16);
INSERT INTO "subscribers_topic" VALUES(18,'efficiency-inference','Efficient inference','Systems','Quantization, pruning, caching, speculative decoding, serving, small devices.',17,17);
INSERT INTO "subscribers_topic" VALUES(19,'distributed-systems','Distributed systems','Systems','Training across many machines, communication, GPUs, federated learning.',18,18);
INSERT INTO "subscribers_topic" VALUES(20,'multimodal-vlm','Vision-language models','Vision & multimodal','Models that see and read: captioning, visual questions, documents, charts.',19,19);
INSERT INTO "subscribers_topic" VALUES(21,'image-generation','Image generation','Vision & multimodal','Making and editing images from text, subjects or other images.',20,20);
INSERT INTO "subscribers_topic" VALUES(22,'video','Video','Vision & multimodal','Generating, editing and understanding video.',21,21);
INSERT INTO "subscribers_topic" VALUES(23,'world-models','World models','Vision & multimodal','Models that predict or simulate environments and their physics.',22,22);
INSERT INTO "subscribers_topic" VALUES(24,'3d-vision','3D & graphics','Vision & multimodal','Reconstruction, splatting, shape and scene generation, avatars, rendering.',23,23);
INSERT INTO "subscribers_topic" VALUES(25,'vision-recognition','Visual recognition','Vision & multimodal','Detection, segmentation, tracking, image classification, visual features.',24,24);
INSERT INTO "subscribers_topic" VALUES(26,'robotics','Robotics','Applications','Robot learning, manipulation, locomotion, vision-language-action models.',25,25);
INSERT INTO "subscribers_topic" VALUES(27,'autonomous-driving','Autonomous driving','Applications','Perception, prediction, planning and simulation for vehicles.',26,26);
INSERT INTO "subscribers_topic" VALUES(28,'audio-speech','Speech, audio & music','Applications','Speech recognition and synthesis, sound, music, spoken dialogue.',27,27);
INSERT INTO "subscribers_topic" VALUES(29,'recsys','Recommender systems','Applications','Recommendation, ranking for users, advertising, click prediction.',28,28);
INSERT INTO "subscribers_topic" VALUES(30,'time-series-tabular','Time series & tables','Applications','Forecasting, tabular data, finance, weather and climate.',29,29);
INSERT INTO "subscribers_topic" VALUES(31,'science','AI for science','Applications','Physics, chemistry, materials, simulation and automated discovery.',30,30);
INSERT INTO "subscribers_topic" VALUES(32,'bio-health','Biology & health','Applications','Medical imaging and records, drug design, proteins, genomics, the brain.',31,31);
INSERT INTO "subscribers_topic" VALUES(33,'wireless-signal','Signals & communications','Applications','Wireless and semantic communication, radar, coding, control, edge networks.',32,32);
INSERT INTO "subscribers_topic" VALUES(34,'evaluation-benchmarks','Benchmarks','Evaluation, safety & society','New benchmarks, evaluation methods, judges, leaderboards.',33,33);
INSERT INTO "subscribers_topic" VALUES(35,'safety-security','Safety & security','Evaluation, safety & society','Jailbreaks, attacks and defences, privacy, unlearning, watermarks, misuse.',34,34);
INSERT INTO "subscribers_topic" VALUES(36,'hallucination-trust','Trust & factuality','Evaluation, safety & society','Hallucination, uncertainty, calibration, faithfulness, knowledge editing.',35,35);
INSERT INTO "subscribers_topic" VALUES(37,'interpretability','Interpretability','Evaluation, safety & society','What happens inside networks: features, circuits, probing, steering.',36,36);
INSERT INTO "subscribers_topic" VALUES(38,'society-ethics','Society & people','Evaluation, safety & society','Fairness, ethics, governance, education, work, human-AI interaction.',37,37);
CREATE UNIQUE INDEX "auth_group_permissions_group_id_permission_id_0cd325b0_uniq" ON "auth_group_permissions" ("group_id", "permission_id");
CREATE INDEX "auth_group_permissions_group_id_b120cbf9" ON "auth_group_permissions" ("group_id");
CREATE INDEX "auth_group_permissions_permission_id_84c5c92e" ON "auth_group_permissions" ("permission_id");
CREATE UNIQUE INDEX "auth_user_groups_user_id_group_id_94350c0c_uniq" ON "auth_user_groups" ("user_id", "group_id");
CREATE INDEX "auth_user_groups_user_id_6a12ed8b" ON "auth_user_groups" ("user_id");
CREATE INDEX "auth_user_groups_group_id_97559544" ON "auth_user_groups" ("group_id");
CREATE UNIQUE INDEX "auth_user_user_permissions_user_id_permission_id_14a6b632_uniq" ON "auth_user_user_permissions" ("user_id", "permission_id");
CREATE INDEX "auth_user_user_permissions_user_id_a95ead1b" ON "auth_user_user_permissions" ("user_id");
CREATE INDEX "auth_user_user_permissions_permission_id_1fbb5f2c" ON "auth_user_user_permissions" ("permission_id");
CREATE INDEX "django_admin_log_content_type_id_c4bce8eb" ON "django_admin_log" ("content_type_id");
CREATE INDEX "django_admin_log_user_id_c564eba6" ON "django_admin_log" ("user_id");
CREATE UNIQUE INDEX "django_content_type_app_label_model_76bd3d3b_uniq" ON "django_content_type" ("app_label", "model");
CREATE UNIQUE INDEX "auth_permission_content_type_id_codename_01ab375a_uniq" ON "auth_permission" ("content_type_id", "codename");
CREATE INDEX "auth_permission_content_type_id_2f476e4b" ON "auth_permission" ("content_type_id");
CREATE INDEX "subscribers_link_subscriber_id_cc90aebd" ON "subscribers_link" ("subscriber_id");
CREATE INDEX "subscribers_consentevent_email_hash_95da6140" ON "subscribers_consentevent" ("email_hash");
CREATE INDEX "subscribers_consentevent_subscriber_id_01b228fe" ON "subscribers_consentevent" ("subscriber_id");
CREATE INDEX "subscribers_request_at_514541db" ON "subscribers_request" ("at");
CREATE INDEX "subscribers_request_subscriber_id_f0d0c23f" ON "subscribers_request" ("subscriber_id");
CREATE INDEX "request_open" ON "subscribers_request" ("not_before") WHERE "handled_at" IS NULL;
CREATE INDEX "request_network" ON "subscribers_request" ("network", "at");
CREATE INDEX "request_domain" ON "subscribers_request" ("domain", "at");
CREATE INDEX "subscribers_notice_mailbox_ef0664f5" ON "subscribers_notice" ("mailbox");
CREATE INDEX "subscribers_notice_subscriber_id_4127cd2c" ON "subscribers_notice" ("subscriber_id");
CREATE INDEX "notice_open" ON "subscribers_notice" ("not_before") WHERE "state" = 'pending';
CREATE INDEX "subscribers_subscription_subscriber_id_cb6308c8" ON "subscribers_subscription" ("subscriber_id");
CREATE INDEX "subscribers_subscription_topic_id_2b015d1c" ON "subscribers_subscription" ("topic_id");
CREATE INDEX "subscribers_subscriber_email_hash_9303b041" ON "subscribers_subscriber" ("email_hash");
CREATE INDEX "subscribers_subscriber_changed_at_4f776b0d" ON "subscribers_subscriber" ("changed_at");
CREATE INDEX "subscribers_subscriber_schedule_id_2463ae86" ON "subscribers_subscriber" ("schedule_id");
CREATE INDEX "subscriber_active_schedule" ON "subscribers_subscriber" ("schedule_id") WHERE "state" = 'active';
CREATE INDEX "digest_paper_day_6071cc10" ON "digest_paper" ("day");
CREATE INDEX "digest_frame_edition_id_c3db9e12" ON "digest_frame" ("edition_id");
CREATE INDEX "digest_block_edition_id_f768f26b" ON "digest_block" ("edition_id");
CREATE INDEX "digest_block_paper_id_95c57b3d" ON "digest_block" ("paper_id");
CREATE INDEX "digest_deliveryevent_email_hash_7ddaaed0" ON "digest_deliveryevent" ("email_hash");
CREATE INDEX "digest_deliveryevent_delivery_id_3d5465b6" ON "digest_deliveryevent" ("delivery_id");
CREATE INDEX "delivery_event_lately" ON "digest_deliveryevent" ("kind", "at");
CREATE INDEX "digest_submission_intent_at_7f0fec52" ON "digest_submission" ("intent_at");
CREATE INDEX "digest_vote_paper_id_47266976" ON "digest_vote" ("paper_id");
CREATE INDEX "delivery_open" ON "digest_delivery" ("not_before") WHERE "is_open" = 1;
CREATE INDEX "delivery_unknown" ON "digest_delivery" ("expires_at") WHERE "is_unknown" = 1;
CREATE INDEX "django_session_expire_date_a5c62663" ON "django_session" ("expire_date");
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('django_migrations',29);
INSERT INTO "sqlite_sequence" VALUES('django_admin_log',0);
INSERT INTO "sqlite_sequence" VALUES('django_content_type',29);
INSERT INTO "sqlite_sequence" VALUES('auth_group',0);
INSERT INTO "sqlite_sequence" VALUES('auth_user',0);
INSERT INTO "sqlite_sequence" VALUES('subscribers_subscription',9);
INSERT INTO "sqlite_sequence" VALUES('subscribers_topic',38);
INSERT INTO "sqlite_sequence" VALUES('subscribers_subscriber',4);
INSERT INTO "sqlite_sequence" VALUES('digest_frame',1);
INSERT INTO "sqlite_sequence" VALUES('digest_block',2);
INSERT INTO "sqlite_sequence" VALUES('digest_deliveryevent',1);
INSERT INTO "sqlite_sequence" VALUES('digest_delivery',3);
INSERT INTO "sqlite_sequence" VALUES('subscribers_schedule',73);
INSERT INTO "sqlite_sequence" VALUES('digest_edition',1);
INSERT INTO "sqlite_sequence" VALUES('digest_paper',2);
INSERT INTO "sqlite_sequence" VALUES('subscribers_consentevent',2);
INSERT INTO "sqlite_sequence" VALUES('subscribers_notice',1);
INSERT INTO "sqlite_sequence" VALUES('subscribers_suppression',1);
INSERT INTO "sqlite_sequence" VALUES('digest_vote',1);
INSERT INTO "sqlite_sequence" VALUES('digest_highwater',1);
INSERT INTO "sqlite_sequence" VALUES('subscribers_request',1);
COMMIT;
