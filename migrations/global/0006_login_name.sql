ALTER TABLE user_login
    ADD COLUMN name_key VARCHAR(100) COLLATE utf8mb4_unicode_ci NULL COMMENT 'username, compared as the names of users are',
    ADD KEY user_login_name (name_key, login_at);
